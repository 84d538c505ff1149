public import CheckpointCodecs
public import CheckpointFormat
internal import CheckpointStorage

/// The result of one committed save. Sizes in bytes.
public struct SaveReport: Sendable {
    /// The step given to `save`.
    public var step: Int
    /// The checkpoint's id.
    public var id: CheckpointID
    /// Size of tensors and objects before encoding, without what other ranks save.
    public var logicalBytes: Int
    /// Stored size of the checkpoint's blocks.
    public var storedBytes: Int
    /// Stored size of those blocks that this save wrote; the others were in the store already.
    public var newBytes: Int
    /// Tensor bytes, before encoding, that were deduplicated: they are stored in earlier
    /// checkpoints, or elsewhere in this one.
    public var reusedBytes: Int
    /// Tensor bytes that are casts of other tensors, and are computed again on restore.
    public var derivedBytes: Int
    /// Bytes of tensors that another rank saves, and that are compared with its bytes.
    public var copiedBytes: Int
    /// Compression level of the blocks: the one requested, or the engine's choice for `auto`.
    public var compression: Compression
    /// Reason for the engine's choice, with its figures; nil if the level was requested.
    public var compressionReason: String?
    /// Tensor bytes captured while the trainer was free to compute.
    public var liveBytes: Int
    /// Tensor bytes captured while the trainer waited at a fence.
    public var fencedBytes: Int
    /// Time from the call of `save` until every byte had been copied out of the trainer's memory.
    public var timeToCaptured: Duration
    /// Time from the call of `save` until every byte was on stable storage.
    public var timeToDurable: Duration
    /// Time from the call of `save` until the checkpoint was published.
    public var timeToCommitted: Duration
    /// True if every tensor has the same content as in this run's previous checkpoint. The saved
    /// state is then probably not the state that is trained.
    public var isUnchanged: Bool
    /// Time for which the trainer waited in this call of `save`, until the checkpoint was
    /// published.
    public var stallSubmit: Duration
    /// Time for which the trainer waited for copies, at fences or in a delayed write, until the
    /// checkpoint was published. A fence is charged to the newest save.
    public var stallFence: Duration
    /// Time for which the trainer waited for the disk, before this save could begin and at fences.
    /// A fence is charged to the newest save.
    public var stallBackpressure: Duration
    /// Maximum arena memory in use since the `Checkpointer` was created, in bytes.
    public var arenaHighWaterBytes: Int

    /// Size before encoding divided by stored size; 1 if nothing is stored.
    public var ratio: Double { storedBytes == 0 ? 1 : Double(logicalBytes) / Double(storedBytes) }
    /// Bytes before encoding per second, from the call of `save` until the checkpoint was
    /// published.
    public var bytesPerSecond: Double { Double(logicalBytes) / max(timeToCommitted / .seconds(1), 1e-9) }
}
