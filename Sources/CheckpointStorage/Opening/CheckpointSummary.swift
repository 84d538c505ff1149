package import CheckpointCatalog
public import CheckpointFormat
public import Foundation

/// One checkpoint, as lists show it.
public struct CheckpointSummary: Sendable {
    /// The checkpoint's id.
    public var id: CheckpointID
    /// The run it belongs to.
    public var run: RunID
    /// A person's name for the run; may be empty.
    public var runName: String
    /// Updates made before it was saved.
    public var step: Int
    /// When the save was asked for.
    public var created: Date
    /// The checkpoint that the run was resumed from.
    public var parent: CheckpointID?
    /// Training metrics given to `save`.
    public var metrics: [String: Double]
    /// Number of tensors.
    public var tensorCount: Int
    /// Number of objects.
    public var objectCount: Int
    /// Bytes of tensors and objects.
    public var logicalBytes: Int
    /// Bytes of blocks as stored.
    public var storedBytes: Int
    /// Its tags, in order.
    public var tags: [String]
    /// Whether it is pinned.
    public var isPinned: Bool
    package var name: ManifestName

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
