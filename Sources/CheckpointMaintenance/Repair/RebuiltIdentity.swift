internal import CheckpointCodecs
public import CheckpointFormat
internal import CheckpointIO
public import CheckpointStorage

/// Description of a `store.json` that was rebuilt, or would be in a dry run.
public struct RebuiltIdentity: Sendable {
    /// The fault of the old file.
    public var fault: CheckpointError
    /// The store's id, according to the checkpoints.
    public var id: StoreID
    /// Number of readable checkpoints with this store id.
    public var checkpointCount: Int
}
