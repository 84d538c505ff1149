public import CheckpointCodecs
internal import CheckpointFormat
public import Logging

/// How a `Checkpointer` saves.
public struct CheckpointerOptions: Sendable {
    /// What `save` does while an earlier save is still being written.
    public enum Backpressure: Sendable {
        /// Waits until it is committed.
        case block
        /// Fails with code `skipped`.
        case skip
    }

    /// A person's name for the run, shown by `ckpt ls`.
    public var runName = ""
    /// How hard to try to make blocks smaller.
    public var compression = Compression.none
    /// Size of a chunk in bytes: a multiple of 4096, from 4 KiB to 16 MiB.
    public var chunkBytes = Limits.chunkBytesDefault
    /// Memory for captured chunks, in bytes: a hard budget, allocated once. At least one chunk is allocated.
    public var arenaBytes = 128 << 20
    /// Threads that copy, encode and write.
    public var workers = 2
    /// Nice value of those threads: 0 competes with the trainer, 19 yields to it.
    public var workerNiceness = 10
    /// What to do when saves come faster than the disk takes them.
    public var backpressure = Backpressure.block
    /// A segment is closed when it reaches this size.
    public var segmentBytes = Limits.segmentBytesDefault
    /// Checkpoints of this run to keep; older ones are removed after each commit. Nil keeps all.
    public var keepLast: Int?
    /// The engine's mechanisms, for measuring what each brings.
    package var mechanisms = Mechanisms()
    /// Called on the engine's threads; must return quickly.
    public var onEvent: (@Sendable (CheckpointEvent) -> Void)?
    /// Told of failures and warnings.
    public var logger = Logger(label: "ckpt")

    /// The defaults.
    public init() {}

    func check() throws(CheckpointError) {
        guard chunkBytes % Limits.pageBytes == 0, (Limits.pageBytes...16 << 20).contains(chunkBytes) else {
            throw CheckpointError(.misuse, "chunkBytes \(chunkBytes) is not a multiple of 4096 up to 16 MiB")
        }
        guard workers >= 1, workers <= 64, arenaBytes >= 0, (0...19).contains(workerNiceness) else {
            throw CheckpointError(.misuse, "workers \(workers), arenaBytes \(arenaBytes) or niceness \(workerNiceness) out of range")
        }
        guard segmentBytes >= 1 << 20, segmentBytes <= Limits.segmentBytesMax / 2 else {
            throw CheckpointError(.misuse, "segmentBytes \(segmentBytes) is not between 1 MiB and 32 GiB")
        }
    }
}
