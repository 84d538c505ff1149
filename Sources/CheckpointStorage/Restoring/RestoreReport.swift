public import CheckpointFormat

/// Result of a restore.
public struct RestoreReport: Sendable {
    /// Id of the checkpoint restored from.
    public var id: CheckpointID
    /// The checkpoint's run.
    public var run: RunID
    /// The checkpoint's step.
    public var step: Int
    /// The metrics given to `save`.
    public var metrics: [String: Double]
    /// Number of tensors restored.
    public var tensorCount: Int
    /// Number of objects restored.
    public var objectCount: Int
    /// Bytes of tensors restored.
    public var tensorBytes: Int
    /// Damage of the newer checkpoints that `latest` skipped, newest first.
    public var skipped: [CheckpointError]
}
