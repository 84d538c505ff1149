public import CheckpointStorage

/// The result of an import. Sizes in bytes.
public struct ImportReport: Sendable {
    /// A part of the files that was left out.
    public struct LeftOut: Sendable, Equatable {
        /// The keys that lead to it in its file, joined by dots; or the name of a file.
        public let name: String
        /// Its class, or the reason why it was left out.
        public let what: String
    }

    /// The checkpoint that was made.
    public let checkpoint: Checkpoint
    /// Bytes of the tensors in the files.
    public let tensorBytes: Int
    /// Number of the files' values that became objects. The checkpoint also has `import_source`.
    public var objectCount: Int { checkpoint.summary.objectCount - 1 }
    /// Bytes that the store did not have before.
    public let newBytes: Int
    /// Name of the files' format: `safetensors`, `npy`, `npz`, `pt`, `dcp`, `raw`, or `mixed`.
    public let format: String
    /// The files, as the checkpoint records them in the object `import_source`.
    public let source: ImportSource
    /// An earlier import of the same bytes; nil if there is none.
    public let earlier: CheckpointSummary?
    /// Parts that were left out. The checkpoint records them in the object `left_out`.
    public let leftOut: [LeftOut]
    /// Assumptions of the reader, and files that it skipped, as sentences.
    public let notes: [String]
}
