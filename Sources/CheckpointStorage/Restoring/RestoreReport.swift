public import CheckpointFormat

/// What was restored.
public struct RestoreReport: Sendable {
    /// The checkpoint restored from.
    public var id: CheckpointID
    /// The run it belongs to.
    public var run: RunID
    /// Its step.
    public var step: Int
    /// The metrics given to `save`.
    public var metrics: [String: Double]
    /// Number of tensors restored.
    public var tensorCount: Int
    /// Number of objects restored.
    public var objectCount: Int
    /// Bytes of tensors restored.
    public var tensorBytes: Int
    /// Newer checkpoints that were not whole, newest first.
    public var skipped: [CheckpointError]
}
