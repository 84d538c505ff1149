package import CheckpointCatalog
public import CheckpointFormat
public import Foundation

/// Summary of one checkpoint, as shown in lists. A plain value; sizes in bytes.
public struct CheckpointSummary: Sendable {
    /// The checkpoint's id.
    public var id: CheckpointID
    /// The checkpoint's run.
    public var run: RunID
    /// The name that a person gave the run; may be empty.
    public var runName: String
    /// Number of updates made before the save.
    public var step: Int
    /// Time at which the save was requested.
    public var created: Date
    /// The checkpoint that the run was resumed from; nil if it was not.
    public var parent: CheckpointID?
    /// Training metrics given to `save`.
    public var metrics: [String: Double]
    /// Number of tensors.
    public var tensorCount: Int
    /// Number of objects.
    public var objectCount: Int
    /// Size of tensors and objects before encoding.
    public var logicalBytes: Int
    /// Size of the encoded blocks.
    public var storedBytes: Int
    /// The checkpoint's tags, sorted.
    public var tags: [String]
    /// True if the checkpoint is pinned.
    public var isPinned: Bool
    package var name: ManifestName

    /// Creates the summary of a manifest.
    ///
    /// - Parameters:
    ///   - manifest: the manifest.
    ///   - marks: all tags and pins of the store.
    package init(_ manifest: Manifest, _ marks: Marks) {
        tags = marks.tagsByName()[manifest.name] ?? []
        isPinned = marks.pins.contains(manifest.name)
        id = manifest.id
        run = manifest.run
        runName = manifest.runName
        step = manifest.step
        created = Date(timeIntervalSince1970: Double(manifest.created) / 1000)
        parent = manifest.parent?.id
        metrics = Dictionary(
            manifest.metrics.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
        tensorCount = manifest.tensors.count
        objectCount = manifest.objects.count
        logicalBytes = manifest.logicalBytes
        storedBytes = manifest.storedBytes
        name = manifest.name
    }

    package init(_ entry: CatalogEntry, tags: [String], isPinned: Bool) {
        self.tags = tags
        self.isPinned = isPinned
        id = entry.id
        run = entry.name.run
        runName = entry.runName
        step = entry.name.step
        created = Date(timeIntervalSince1970: Double(entry.created) / 1000)
        parent = entry.parent
        metrics = entry.metrics
        tensorCount = entry.tensorCount
        objectCount = entry.objectCount
        logicalBytes = entry.logicalBytes
        storedBytes = entry.storedBytes
        name = entry.name
    }
}
