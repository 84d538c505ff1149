internal import CheckpointStorage
public import CheckpointCodecs
internal import CheckpointFormat
public import CoreMetrics
public import Logging

/// Options of a `Checkpointer`.
public struct CheckpointerOptions: Sendable {
    /// What happens when saves come faster than the disk takes them.
    public enum Backpressure: Sendable {
        /// Nothing is lost: training waits, in `save` or at a fence. One save may be captured while another is being written out.
        case block
        /// A save is not begun while another is in flight: it fails with code `skipped`.
        case skip
        /// Training does not wait for a save that has not started: one of which nothing could be captured yet, because the disk is
        /// busy with an earlier one, gives way to the next save or to the next update, with code `skipped`.
        case replacePending
    }

    /// How the state is kept from changing while it is captured.
    public enum Capture: Sendable {
        /// The trainer asks for a permit before it changes anything.
        case fenced
        /// As `fenced`, and what changes without a permit is found and named: for tests of a training loop. The save in flight then fails.
        /// Needs Linux 6.7.
        case checked
        /// The trainer asks for nothing: the kernel holds its writes to what has not been captured yet. Needs Linux 6.4 and, in most
        /// configurations, a privilege; `Checkpointer.init` says which.
        case guarded
    }

    /// A person's name for the run, shown by `ckpt ls`.
    public var runName = ""
    /// How the state is kept from changing while it is captured.
    public var capture = Capture.fenced
    /// How hard to try to make blocks smaller.
    public var compression = Compression.auto
    /// Whether chunks that the store holds already, in any checkpoint, are named and not written again.
    public var deduplicates = true
    /// Whether a bf16 or f16 tensor that is, bit for bit, the cast of an f32 tensor of its group and shape is stored as just that. All
    /// elements are compared, in every save; not with capture mode `guarded`, nor in the memory of devices.
    public var dropsCasts = true
    /// Size of a chunk in bytes: a multiple of 4096, from 4 KiB to 16 MiB.
    public var chunkBytes = Limits.chunkBytesDefault
    /// Memory for captured chunks, in bytes: a hard budget, allocated once. At least one chunk is allocated.
    public var arenaBytes = 128 << 20
    /// Threads that copy and encode; one more writes, and one encodes objects.
    public var workers = 2
    /// Nice value of all these threads: 0 competes with the trainer, 19 yields to it. While training waits for them, they run like any
    /// other, as far as the system permits.
    public var workerNiceness = 10
    /// Bytes of state written in a second, at most; nil is no limit. Training waits if it is too low.
    public var bytesPerSecond: Int?
    /// What to do when saves come faster than the disk takes them.
    public var backpressure = Backpressure.block
    /// Checkpoints of this run to keep; older ones are removed after each commit. Nil keeps all. Those of other runs are never removed.
    public var keepLast: Int?
    /// A segment is closed when it reaches this size.
    public var segmentBytes = Limits.segmentBytesDefault
    /// Called on the engine's threads; must return quickly.
    public var onEvent: (@Sendable (CheckpointEvent) -> Void)?
    /// Told of failures (error), warnings (warning), saves that are skipped or cancelled (notice), committed (info), and of what is
    /// before that (debug), with metadata.
    public var logger = Logger(label: "ckpt")
    /// Where counters, timers and gauges go, once for each save: `ckpt_saves_total`, `ckpt_logical_bytes_total`,
    /// `ckpt_stored_bytes_total`, `ckpt_save_duration`, `ckpt_stall_duration`, `ckpt_arena_high_water_bytes`, `ckpt_saves_in_flight`.
    public var metrics: any MetricsFactory = MetricsSystem.factory
    /// Where `close` writes what each thread did when (Formats/trace.md), for Perfetto or `chrome://tracing`; a file there is replaced.
    /// Nil records nothing.
    public var tracePath: String?
    /// Spans that are recorded: when there are more, the oldest are dropped. Each takes about 110 bytes, allocated at the start.
    public var traceEventsMax = 100_000
    /// For measuring.
    package var mechanisms = Mechanisms()
    /// Test hook: called before page protection is removed.
    package var beforeRelease: (@Sendable () -> Void)?

    /// The defaults.
    public init() {}

    func check() throws(CheckpointError) {
        guard chunkBytes % Limits.pageBytes == 0, (Limits.pageBytes...16 << 20).contains(chunkBytes) else {
            throw CheckpointError(.misuse, "chunkBytes \(chunkBytes) is not a multiple of 4096 up to 16 MiB")
        }
        guard workers >= 1, workers <= 64, arenaBytes >= 0, (0...19).contains(workerNiceness) else {
            throw CheckpointError(.misuse, "workers \(workers), arenaBytes \(arenaBytes) or niceness \(workerNiceness) out of range")
        }
        guard keepLast ?? 1 >= 1, bytesPerSecond ?? 1 >= 1 else {
            throw CheckpointError(.misuse, "keepLast and bytesPerSecond must be at least 1")
        }
        guard (1...10_000_000).contains(traceEventsMax) else {
            throw CheckpointError(.misuse, "traceEventsMax \(traceEventsMax) is not between 1 and 10 million")
        }
        guard segmentBytes >= 1 << 20, segmentBytes <= Limits.segmentBytesMax / 2 else {
            throw CheckpointError(.misuse, "segmentBytes \(segmentBytes) is not between 1 MiB and 32 GiB")
        }
    }
}
