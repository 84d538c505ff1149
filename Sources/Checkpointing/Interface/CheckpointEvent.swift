internal import CheckpointStorage
public import CheckpointCodecs
public import CheckpointFormat

/// An event of a save, published as it happens, on the engine's threads.
public enum CheckpointEvent: Sendable {
    /// `save` was called and will return at once.
    case started(step: Int, id: CheckpointID)
    /// A block has been written; bytes are of the state, before encoding. Objects count once they are encoded.
    case progress(step: Int, writtenBytes: Int, totalBytes: Int)
    /// Every byte has left the trainer's memory.
    case captured(step: Int)
    /// Every byte is on stable storage.
    case durable(step: Int)
    /// The checkpoint is published.
    case committed(SaveReport)
    /// The save failed; earlier checkpoints are untouched and the next save starts clean.
    case failed(step: Int, CheckpointError)
    /// Something that a person should know and that stops nothing.
    case warning(String)
}

/// The result of one committed save. Sizes in bytes.
public struct SaveReport: Sendable {
    /// The step given to `save`.
    public var step: Int
    /// The checkpoint's id.
    public var id: CheckpointID
    /// Bytes of tensors and objects, before encoding.
    public var logicalBytes: Int
    /// Bytes of the blocks that make up the checkpoint, as stored.
    public var storedBytes: Int
    /// Bytes of those blocks that this save wrote; the others were in the store already.
    public var newBytes: Int
    /// Tensor bytes that did not have to be stored, before encoding: they are in earlier checkpoints, or in this one already.
    public var reusedBytes: Int
    /// Tensor bytes that are casts of other tensors, and made again on restore.
    public var derivedBytes: Int
    /// The level that blocks were encoded with: what was asked for, or what the engine chose instead of `auto`.
    public var compression: Compression
    /// Why the engine chose it, with the figures that decided; nil if it was asked for.
    public var compressionReason: String?
    /// Tensor bytes captured while the trainer was free to compute.
    public var liveBytes: Int
    /// Tensor bytes captured while the trainer waited at a fence.
    public var fencedBytes: Int
    /// From the call of `save` until every byte had left the trainer's memory.
    public var timeToCaptured: Duration
    /// From the call of `save` until every byte was on stable storage.
    public var timeToDurable: Duration
    /// From the call of `save` until the checkpoint was published.
    public var timeToCommitted: Duration
    /// Whether every tensor has the same content as in this run's previous checkpoint: the sign of a save
    /// that does not see the training.
    public var isUnchanged: Bool
    /// What the trainer waited in this call of `save`, until the checkpoint was published.
    public var stallSubmit: Duration
    /// What the trainer waited for copies, at fences or held in a write, until the checkpoint was published. A fence is charged to the
    /// save asked for last.
    public var stallFence: Duration
    /// What the trainer waited for the disk, before this save could begin and at fences, charged likewise.
    public var stallBackpressure: Duration
    /// The most arena memory in use since the `Checkpointer` was made, in bytes.
    public var arenaHighWaterBytes: Int

    /// Bytes before encoding for each byte stored; 1 if nothing is stored.
    public var ratio: Double { storedBytes == 0 ? 1 : Double(logicalBytes) / Double(storedBytes) }
    /// Bytes before encoding, over the time from the call of `save` until the checkpoint was published.
    public var bytesPerSecond: Double { Double(logicalBytes) / max(timeToCommitted / .seconds(1), 1e-9) }
}

/// Time that the trainer has been held up, since the `Checkpointer` was made.
public struct StallReport: Sendable {
    /// In `save` itself.
    public var submit: Duration = .zero
    /// At fences, copying or waiting for copies.
    public var fence: Duration = .zero
    /// At fences and in `save`, waiting for the disk: for arena slots, or for an earlier save.
    public var backpressure: Duration = .zero
    /// The most arena memory ever in use, in bytes.
    public var arenaHighWaterBytes = 0
}
