public import CheckpointStorage

/// Options of an export.
public struct ExportOptions: Sendable {
    /// Tensors to export: those whose name matches one of the patterns; all if there is none.
    public var tensors: [NamePattern] = []
    /// Bytes of tensors per file, at most, if the export is a directory of shards. A larger
    /// tensor gets its own file.
    public var shardBytes = 5_000_000_000
    /// Names in the exported files.
    public var renaming = Renaming()
    /// True to export objects: as `objects.json` in the directory, or as a second file next to the
    /// file.
    public var includesObjects = false
    /// True to replace an existing file, or the directory of an earlier export.
    public var replacesExisting = false
    /// Called with the bytes of tensors written so far and their total, on reading threads.
    public var onProgress: (@Sendable (_ done: Int, _ total: Int) -> Void)?
    /// Stops the export, which then leaves nothing behind.
    public var cancellation = Cancellation()

    /// The defaults: all tensors, no objects, nothing replaced.
    public init() {}
}
