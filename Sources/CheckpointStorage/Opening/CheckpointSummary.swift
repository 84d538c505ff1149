package import CheckpointCatalog
public import CheckpointFormat
public import Foundation

/// Summary of one checkpoint, as shown in lists. A plain value; sizes in bytes.
public struct CheckpointSummary: Sendable {
    /// The checkpoint's id.
    public var id: CheckpointID
    /// Id of the restart that saved it.
    public var run: RunID
    /// Name of the run. A run without a name has the name of the store's directory.
    public var runName: String
    /// Place of the checkpoint in its run.
    public var origin: CheckpointOrigin
    /// True if the checkpoint was copied from another store.
    public var isCopy: Bool
    /// Number of updates made before the save.
    public var step: Int
    /// Time at which the save was requested.
    public var created: Date
    /// The checkpoint that the restart was resumed from; nil if it was not.
    public var parent: CheckpointID?
    /// Training metrics given to `save`.
    public var metrics: [String: Double]
    /// Number of tensors.
    public var tensorCount: Int
    /// Number of objects.
    public var objectCount: Int
    /// Size of tensors and objects before encoding.
    public var logicalBytes: Int
    /// Size of all blocks that it needs, as stored; other checkpoints may need them too.
    public var storedBytes: Int
    /// The part of `storedBytes` without content of it: bases of its deltas, after a repack.
    public var baseBytes: Int
    /// Size of the blocks that hold its tensors and objects, as stored.
    public var contentBytes: Int { storedBytes - baseBytes }
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
    ///   - defaultRunName: name of a run without a name.
    package init(_ manifest: Manifest, _ marks: Marks, defaultRunName: String) {
        tags = marks.tagsByName()[manifest.name] ?? []
        isPinned = marks.pins.contains(manifest.name)
        id = manifest.id
        run = manifest.run
        runName = manifest.runName.isEmpty ? defaultRunName : manifest.runName
        origin = manifest.origin
        isCopy = manifest.origin.store != manifest.store
        step = manifest.step
        created = Date(timeIntervalSince1970: Double(manifest.created) / 1000)
        parent = manifest.parent?.id
        metrics = Dictionary(
            manifest.metrics.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
        tensorCount = manifest.tensors.count
        objectCount = manifest.objects.count
        logicalBytes = manifest.logicalBytes
        storedBytes = manifest.storedBytes
        baseBytes = manifest.baseBytes
        name = manifest.name
    }

    package init(
        _ entry: CatalogEntry, in store: StoreID, tags: [String], isPinned: Bool, defaultRunName: String
    ) {
        self.tags = tags
        self.isPinned = isPinned
        id = entry.id
        run = entry.name.run
        runName = entry.runName.isEmpty ? defaultRunName : entry.runName
        origin = entry.origin
        isCopy = entry.origin.store != store
        step = entry.name.step
        created = Date(timeIntervalSince1970: Double(entry.created) / 1000)
        parent = entry.parent?.id
        metrics = entry.metrics
        tensorCount = entry.tensorCount
        objectCount = entry.objectCount
        logicalBytes = entry.logicalBytes
        storedBytes = entry.storedBytes
        baseBytes = entry.baseBytes
        name = entry.name
    }
}
