public import CheckpointStorage

/// The result of an import. Sizes in bytes.
public struct ImportReport: Sendable {
    /// The checkpoint that was made.
    public let checkpoint: Checkpoint
    /// Bytes of the tensors in the files.
    public let tensorBytes: Int
    /// Bytes that the store did not hold before.
    public let newBytes: Int
    /// Name of the files' format: `safetensors`, `npy`, `npz`, `pt`, `dcp`, `raw`, or `mixed`.
    public let format: String
}
