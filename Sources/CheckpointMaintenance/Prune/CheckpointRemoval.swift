internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage
internal import SystemPackage

/// Removes checkpoints, then the segments that no other names: steps P1 to P6 of
/// Formats/durability.md, section 14. None of them needs free space.
struct CheckpointRemoval {
    private let store: CheckpointStore
    private var segments: [ManifestName: [SegmentReference]] = [:]
    /// Attempts that have committed the checkpoints.
    private var attempts: [ManifestName: AttemptName] = [:]
    /// True if a manifest that stays cannot be read. It may name any segment.
    private var hasUnreadable = false

    init(_ store: CheckpointStore) { self.store = store }

    /// Lists the segment files.
    ///
    /// - Throws: code `io`.
    func segmentFiles() throws(CheckpointError) -> Set<SegmentName> {
        let names = try translating("listing segments") {
            try store.fileSystem.list(store.directories.segments)
        }
        return Set(names.compactMap { SegmentName($0) })
    }

    /// Loads a manifest, and records its segments.
    ///
    /// - Throws: codes `notFound`, `damaged`, `unsupported`, `io`.
    @discardableResult
    mutating func load(_ name: ManifestName) throws(CheckpointError) -> Manifest {
        let manifest = try store.files.load(name).manifest
        segments[name] = manifest.segments
        attempts[name] = AttemptName(checkpoint: name, attempt: manifest.id)
        return manifest
    }

    /// Returns the segments that only these checkpoints name; none if a manifest that stays cannot
    /// be read.
    ///
    /// - Parameter names: checkpoints that go.
    func orphans(of names: [ManifestName]) -> [SegmentReference] {
        guard !hasUnreadable else { return [] }
        let gone = Set(names)
        var rest: Set<SegmentName> = []
        for (name, references) in segments where !gone.contains(name) {
            rest.formUnion(references.map(\.name))
        }
        var seen: Set<SegmentName> = []
        return names.flatMap { segments[$0] ?? [] }.filter {
            !rest.contains($0.name) && seen.insert($0.name).inserted
        }
    }

    /// Removes checkpoints and orphan segments.
    ///
    /// - Parameters:
    ///   - names: the checkpoints.
    ///   - maintenance: the lock, held.
    /// - Returns: the checkpoints removed, which are all but those in use, and the segments removed.
    /// - Throws: code `io`.
    mutating func run(
        _ names: [ManifestName], _ maintenance: MaintenanceLock
    ) throws(CheckpointError) -> (gone: [ManifestName], orphans: [SegmentReference]) {
        guard !names.isEmpty else { return ([], []) }
        let attempts = names.map { (name: $0, attempt: self.attempts[$0]) }
        let removal = ManifestRemoval(files: store.files, catalog: store.catalog)
        let gone = try translating("removing checkpoints") {
            // A writer may have published a checkpoint that stays instead, and not synced it yet.
            try store.fileSystem.syncDirectory(store.directories.manifests)
            try maintenance.changeGeneration()  // P1
            return try removal.unpublish(attempts, .others(tries: 5))  // P2 to P4
        }
        try addNew()
        let orphans = orphans(of: gone)
        try translating("removing segments") {
            try removal.sweep(orphans, gone.compactMap { self.attempts[$0] })  // P6
        }
        return (gone, orphans)
    }

    /// P5: reads manifests that were published since. A save that reused blocks of a removed
    /// checkpoint has ended before P2: its manifest is published now, and names the segments that
    /// it reuses.
    private mutating func addNew() throws(CheckpointError) {
        for name in try store.files.names() where segments[name] == nil {
            do throws(CheckpointError) { try load(name) } catch {
                // Gone again: it names nothing.
                guard error.code != .notFound else { continue }
                hasUnreadable = true
            }
        }
    }
}
