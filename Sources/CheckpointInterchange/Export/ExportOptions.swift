public import CheckpointStorage

/// Options of an export.
public struct ExportOptions: Sendable {
    /// Tensors to export: those whose name matches one of the patterns; all if there is none.
    public var tensors: [NamePattern] = []
    /// Bytes of tensors per file, at most, if the export is a directory of shards. A larger
    /// tensor gets a file of its own.
    public var shardBytes = 5_000_000_000
    /// Names in the exported files.
    public var renaming = Renaming()
    /// Whether objects are exported: as `objects.json` in the directory, or beside the file.
    public var includesObjects = false
    /// Whether an existing file, or directory of an earlier export, is replaced.
    public var replacesExisting = false
    /// Called with the bytes of tensors written so far and their total, on reading threads.
    public var onProgress: (@Sendable (_ done: Int, _ total: Int) -> Void)?
    /// Stops the export, which then leaves nothing behind.
    public var cancellation = Cancellation()

    /// The defaults: all tensors, no objects, nothing replaced.
    public init() {}
}
