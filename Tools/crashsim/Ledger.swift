internal import Checkpointing
internal import CheckpointIO

/// Everything that processes have been told about the checkpoints of a store, and so what a crash
/// must leave.
struct Ledger {
    /// The content that was to be saved, of every save that has begun.
    var contents: [CheckpointID: UInt64] = [:]
    /// Checkpoints that were reported committed.
    var acknowledged: Set<CheckpointID> = []
    /// Of those, the ones whose removal may have begun.
    var removable: Set<CheckpointID> = []
    /// Those that were reported removed.
    var removed: Set<CheckpointID> = []
    /// Those that were reported pinned.
    var pinned: Set<CheckpointID> = []
    /// Those that were reported copied to the other store.
    var copied: Set<CheckpointID> = []
    /// Those that were reported sent to the mirror.
    var mirrored: Set<CheckpointID> = []

    /// Checkpoints that the store must have.
    var required: Set<CheckpointID> { acknowledged.subtracting(removable) }
}
