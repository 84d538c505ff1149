internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import SystemPackage

/// Which checkpoints a run no longer keeps: pure.
enum Retention {
    /// - Parameters:
    ///   - names: of all checkpoints, oldest first.
    ///   - keepLast: how many of the run stay, at least one.
    static func expired(_ names: [ManifestName], of run: RunID, keepLast: Int) -> [ManifestName] {
        precondition(keepLast >= 1)
        return names.filter { $0.run == run }.dropLast(keepLast)
    }
}

/// Removes checkpoints: steps D1 to D4 of Formats/durability.md. Used by the store's one writer, on one thread at a time.
final class Expiry: Sendable {
    /// How many manifests name each segment; nil until it has been counted.
    private let uses = Monitor<[SegmentName: Int]?>(nil)
    private let files: ManifestFiles
    private let catalog: CatalogKeeper

    init(files: ManifestFiles, catalog: CatalogKeeper) {
        self.files = files
        self.catalog = catalog
    }

    /// A checkpoint has been committed.
    func committed(_ manifest: Manifest) {
        uses.withLock { uses in
            for segment in manifest.segments { uses?[segment.name, default: 0] += 1 }
        }
    }

    /// Removes checkpoints, and hands the segments that none names any more to `discard`, or unlinks them.
    /// - Throws: at the first that cannot be removed; what is half removed is finished by the next recovery.
    func remove(
        _ names: [ManifestName], discard: ((SegmentReference) throws(FileSystemError) -> Void)?
    ) throws(CheckpointError) {
        guard !names.isEmpty else { return }
        try countUses()
        let manifests = try names.map { name throws(CheckpointError) in try files.load(name).manifest }
        try translating("removing old checkpoints") {
            for name in names { try files.fileSystem.remove(files.directories.path(of: name)) }  // D1
            try files.fileSystem.syncDirectory(files.directories.manifests)  // D2
            catalog.remove(names)  // D3
            for segment in manifests.flatMap(\.segments) where release(segment.name) {  // D4
                if let discard { try discard(segment) } else {
                    try files.fileSystem.remove(files.directories.path(of: segment.name))
                }
            }
        }
    }

    /// Reads every manifest, once. One that cannot be read may name any segment, so nothing can be removed then.
    private func countUses() throws(CheckpointError) {
        guard uses.withLock({ $0 == nil }) else { return }
        var counted: [SegmentName: Int] = [:]
        for name in try files.names() {
            for segment in try files.load(name).manifest.segments { counted[segment.name, default: 0] += 1 }
        }
        uses.withLock { $0 = counted }
    }

    /// - Returns: whether nobody names the segment any more.
    private func release(_ name: SegmentName) -> Bool {
        uses.withLock { uses in
            let rest = (uses?[name] ?? 0) - 1
            uses?[name] = rest > 0 ? rest : nil
            return rest == 0
        }
    }
}
