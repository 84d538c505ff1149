public import CheckpointStorage

/// The result of an export. Sizes in bytes.
public struct ExportReport: Sendable {
    /// One file that was written.
    public struct File: Sendable, Equatable {
        /// Its name, relative to the export if that is a directory.
        public let name: String
        /// Its size.
        public let byteCount: Int
    }

    /// One tensor that was exported.
    public struct Tensor: Sendable {
        /// The tensor, as the checkpoint describes it.
        public let info: TensorInfo
        /// Its name in the file.
        public let exportedName: String
        /// The name of the file that holds it.
        public let file: String
        /// The name of its element type in the file: `U8` if safetensors does not have the type.
        public let fileType: String
    }

    /// The checkpoint that was exported.
    public let checkpoint: Checkpoint
    /// The files, in the order in which they were written.
    public let files: [File]
    /// The tensors, in the checkpoint's order.
    public let tensors: [Tensor]
    /// Bytes of all exported tensors.
    public let tensorBytes: Int
    /// Number of exported objects.
    public let objectCount: Int
    /// Newer checkpoints that `latest` skipped because they are damaged, newest first.
    public package(set) var skipped: [CheckpointError] = []
}
