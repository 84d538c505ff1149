public import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointStorage
public import CoreMetrics
public import Logging

/// Options of a `Checkpointer`.
public struct CheckpointerOptions: Sendable {
    /// Policy for saves that come faster than the disk can write them.
    public enum Backpressure: Sendable {
        /// No save is skipped: training waits, in `save` or at a fence. One save may be captured
        /// while another is being written.
        case block
        /// A save that is requested while another is in flight fails with code `skipped`.
        case skip
        /// Training does not wait for a save that has not started. Such a save, from which nothing
        /// was captured yet because the disk is busy with an earlier one, is replaced by the next
        /// save or dropped at the next update; it fails with code `skipped`.
        case replacePending
    }

    /// Method that keeps the state from changing while it is captured.
    public enum Capture: Sendable {
        /// The trainer requests a permit before it changes any state.
        case fenced
        /// As `fenced`; in addition, tensors that change without a permit are detected and named,
        /// to test a training loop. The save in flight then fails. Needs Linux 6.7.
        case checked
        /// The trainer takes no permits: the kernel delays its writes to pages that have not been
        /// captured yet. Needs Linux 6.4 and, in most configurations, a privilege; the error of
        /// `Checkpointer.init` names it.
        case guarded
    }

    /// Name of the run: the training experiment that this process continues. A later process
    /// with the same name in the same store continues it.
    ///
    /// From 1 to 256 bytes, without control characters. Nil means the store's only run; in a new
    /// store, the name of its directory.
    public var run: String?
    /// Name of the run; empty if none is given.
    @available(*, deprecated, renamed: "run")
    public var runName: String {
        get { run ?? "" }
        set { run = newValue.isEmpty ? nil : newValue }
    }
    /// Source of the checkpoints.
    package var kind = CheckpointOrigin.Kind.training
    /// Bytes of the state that are in the store already, as far as the caller knows: the check of
    /// free space leaves them out.
    package var storedBytes = 0
    /// Method that keeps the state from changing while it is captured.
    public var capture = Capture.fenced
    /// Effort spent on compressing blocks.
    public var compression = Compression.auto
    /// True to deduplicate: a chunk that training in this store has saved before is referred to,
    /// and not written again. Imports and copies from other stores are not used.
    public var deduplicates = true
    /// True to store a bf16 or f16 tensor as a cast, if it is bit for bit the cast of an f32 tensor
    /// of the same group and shape. All elements are compared in every save. Not available with
    /// capture mode `guarded`, nor for tensors in device memory.
    public var dropsCasts = true
    /// Size of a chunk in bytes: a multiple of 4096, from 4 KiB to 16 MiB.
    public var chunkBytes = Limits.chunkBytesDefault
    /// Memory for captured chunks, in bytes: a hard budget, allocated once. At least one chunk is
    /// allocated. Nil chooses it: 128 MiB, and more while training would wait for the disk
    /// otherwise, up to an eighth of the memory that is free at the start, divided by the number of
    /// ranks.
    public var arenaBytes: Int?
    /// Number of threads that copy and encode. One more thread writes, and one encodes objects.
    public var workers = 2
    /// Nice value of all these threads: 0 competes with the trainer, 19 yields to it. While
    /// training waits for them, they run at normal priority, as far as the system permits.
    public var workerNiceness = 10
    /// Maximum bytes of state written per second; nil means no limit. If it is too low, training
    /// waits.
    public var bytesPerSecond: Int?
    /// Policy for saves that come faster than the disk can write them.
    public var backpressure = Backpressure.block
    /// Number of checkpoints of this run to keep, counted across its restarts; older ones are
    /// removed after each commit. Nil keeps all. Checkpoints of other runs, and of branches that the
    /// run has left, are never removed. In a bucket those of several ranks stay for a day.
    public var keepLast: Int?
    /// Reaction to SIGTERM.
    public var onTermination = TerminationPolicy.ignore
    /// Maximum time that a normal end of the process, without `close`, is delayed until the saves in
    /// flight are committed. Saves that are not committed by then are reported on standard error.
    public var exitDeadline = Duration.seconds(30)
    /// Maximum time that `close` waits until the store's mirror is up to date; what is not sent by
    /// then is reported as a warning, and sent by the next process. At SIGTERM and at the end of a
    /// process without `close`, what is left of the time for the saves is used.
    public var mirrorDeadline = Duration.seconds(60)
    /// Size in bytes at which a segment is closed.
    public var segmentBytes = Limits.segmentBytesDefault
    /// Receives events, on the threads that `CheckpointEvent` names; must return quickly. In guarded
    /// mode a thread of the trainer may be held in a write meanwhile: take no lock that such a
    /// thread can own.
    public var onEvent: (@Sendable (CheckpointEvent) -> Void)?
    /// Receives failures (error), warnings (warning), resumes, skipped and cancelled saves (notice),
    /// commits (debug) and the stages of a save (trace), with metadata. The default logger writes
    /// warnings and errors.
    public var logger = CheckpointerOptions.defaultLogger

    private static var defaultLogger: Logger {
        var logger = Logger(label: "ckpt")
        logger.logLevel = .warning
        return logger
    }
    /// Receives counters, timers and gauges, once for each save: `ckpt_saves_total`,
    /// `ckpt_logical_bytes_total`, `ckpt_stored_bytes_total`, `ckpt_save_duration`,
    /// `ckpt_stall_duration`, `ckpt_arena_high_water_bytes`, `ckpt_saves_in_flight`.
    public var metrics: any MetricsFactory = MetricsSystem.factory
    /// Path of a trace file (Formats/trace.md) for Perfetto or `chrome://tracing`, with the
    /// activity of each thread. `close` writes it and replaces an existing file. Nil records
    /// nothing.
    public var tracePath: String?
    /// Maximum number of recorded spans; beyond it the oldest are dropped. Each takes about 110
    /// bytes, allocated at the start.
    public var traceEventsMax = 100_000
    /// Mechanisms to switch off in measurements.
    package var mechanisms = Mechanisms()
    /// Test hook: called before page protection is removed.
    package var beforeRelease: (@Sendable () -> Void)?

    /// Creates the default options.
    public init() {}

    func check(ranks: RankGroup?) throws(CheckpointError) {
        guard ranks == nil || backpressure == .block else {
            throw CheckpointError(
                .misuse, "several ranks save, and backpressure is \(backpressure)",
                remedy: "Set it to .block: a save that one rank skips fails on all")
        }
        if let run {
            let isPrintable = run.unicodeScalars.allSatisfy {
                $0.properties.generalCategory != .control
            }
            guard (1...256).contains(run.utf8.count), isPrintable else {
                throw CheckpointError(
                    .misuse, "the name of the run has \(run.utf8.count) bytes, or control characters",
                    remedy: "Set options.run to 1 to 256 bytes of text")
            }
        }
        guard chunkBytes % Limits.pageBytes == 0, (Limits.pageBytes...16 << 20).contains(chunkBytes)
        else {
            throw CheckpointError(
                .misuse, "chunkBytes \(chunkBytes) is not a multiple of 4096 up to 16 MiB")
        }
        guard workers >= 1, workers <= 64, arenaBytes ?? 0 >= 0, (0...19).contains(workerNiceness)
        else {
            throw CheckpointError(
                .misuse,
                "workers \(workers), arenaBytes \(arenaBytes ?? 0) or workerNiceness "
                    + "\(workerNiceness) is out of range",
                remedy: "Use 1 to 64 workers, arenaBytes of at least 0 and workerNiceness 0 to 19"
            )
        }
        guard keepLast ?? 1 >= 1, bytesPerSecond ?? 1 >= 1 else {
            throw CheckpointError(.misuse, "keepLast and bytesPerSecond must be at least 1")
        }
        guard (1...10_000_000).contains(traceEventsMax) else {
            throw CheckpointError(
                .misuse, "traceEventsMax \(traceEventsMax) is not between 1 and 10 million")
        }
        guard segmentBytes >= 1 << 20, segmentBytes <= Limits.segmentBytesMax / 2 else {
            throw CheckpointError(
                .misuse, "segmentBytes \(segmentBytes) is not between 1 MiB and 32 GiB")
        }
    }
}
