package import CheckpointFormat
public import CheckpointStorage

/// The result of an export to raw files. Sizes in bytes.
public struct RawExportReport: Sendable {
    /// The checkpoint that was exported.
    public let checkpoint: Checkpoint
    /// Number of tensors written.
    public let tensorCount: Int
    /// Bytes of all tensors written.
    public let tensorBytes: Int
    /// The content of `index.json`.
    package let index: JSONValue
    /// Newer checkpoints that `latest` skipped because they are damaged, newest first.
    public package(set) var skipped: [CheckpointError] = []

    init(checkpoint: Checkpoint, tensorCount: Int, tensorBytes: Int, index: JSONValue) {
        self.checkpoint = checkpoint
        self.tensorCount = tensorCount
        self.tensorBytes = tensorBytes
        self.index = index
    }
}
