public import CheckpointFormat
internal import CheckpointStorage

/// An event of a save, published as it happens: on the engine's threads, except for `started`,
/// warnings about the training loop, and `failed` of a save that could not begin, which come on the
/// trainer's.
public enum CheckpointEvent: Sendable {
    /// `save` was called, and is about to return.
    case started(step: Int, id: CheckpointID)
    /// A block has been written. Bytes are of the state, before encoding; objects count once they
    /// are encoded. Of blocks that end at about the same time the events may come in another order,
    /// also after those of `captured`, `durable` and `committed`.
    case progress(step: Int, writtenBytes: Int, totalBytes: Int)
    /// Every byte has been copied out of the trainer's memory.
    case captured(step: Int)
    /// Every byte is on stable storage.
    case durable(step: Int)
    /// The checkpoint is published.
    case committed(SaveReport)
    /// The checkpoint is in the store's mirror, too. Bytes are those sent for it. Comes on the
    /// mirror's thread, and also for checkpoints that earlier processes have saved.
    case mirrored(step: Int, newBytes: Int)
    /// The save failed; earlier checkpoints are not affected, and the next save starts from
    /// scratch.
    case failed(step: Int, CheckpointError)
    /// A problem that does not stop a save or the training.
    case warning(String)
}
