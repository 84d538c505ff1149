internal import CheckpointFormat
internal import CheckpointStorage

/// The files that a store's checkpoints were imported from.
struct ImportHistory {
    /// Number of imports that are looked at, newest first.
    private static let importsMax = 256
    private var imports: [(checkpoint: CheckpointSummary, source: ImportSource)] = []

    /// Reads what the newest imports record. Unreadable records are skipped: an import does not
    /// depend on them.
    ///
    /// - Throws: code `io` (the store cannot be listed).
    init(of store: CheckpointStore) throws(CheckpointError) {
        let summaries = try store.checkpoints().compactMap { result -> CheckpointSummary? in
            guard case .success(let summary) = result, summary.origin.kind == .imported else {
                return nil
            }
            return summary
        }
        for summary in summaries.sorted(by: { $0.created > $1.created }).prefix(Self.importsMax) {
            // Damage, or an import of an earlier version: see above.
            if let source = try? Self.source(of: summary, in: store) {
                imports.append((summary, source))
            }
        }
    }

    private static func source(
        of summary: CheckpointSummary, in store: CheckpointStore
    ) throws -> ImportSource {
        let checkpoint = try store.checkpoint(.id(prefix: summary.id.description))
        let bytes = try checkpoint.bytes(ofObject: ImportSource.objectName)
        return try ImportSource(JSONParser.parse(bytes[...]))
    }

    /// Returns the newest import of the same files.
    func same(as source: ImportSource) -> CheckpointSummary? {
        imports.first { $0.source.isSame(as: source) }?.checkpoint
    }

    /// Returns the bytes of files that were imported before, and so are in the store.
    func bytes(of source: ImportSource) -> Int {
        let known = Set(imports.flatMap { $0.source.files.map(\.digest) })
        return source.files.filter { known.contains($0.digest) }.reduce(0) { $0 + $1.byteCount }
    }
}
