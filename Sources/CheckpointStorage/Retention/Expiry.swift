internal import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import SystemPackage

/// Which checkpoints a run no longer keeps: pure.
package enum Retention {
    /// - Parameters:
    ///   - names: of all checkpoints, oldest first.
    ///   - keepLast: how many of the run stay, at least one.
    package static func expired(_ names: [ManifestName], of run: RunID, keepLast: Int) -> [ManifestName] {
        precondition(keepLast >= 1)
        var policy = RetentionPolicy()
        policy.keepLast = keepLast
        return RetentionPlan(names.filter { $0.run == run }.map { RetentionItem(name: $0) }, policy, now: 0).removed
    }
}

/// Removes checkpoints: steps D1 to D4 of Formats/durability.md. Used by the store's one writer, on one thread at a time.
package final class Expiry: Sendable {
    /// The segments that each manifest names, and how many manifests name each segment.
    private struct Uses {
        var segments: [ManifestName: [SegmentReference]] = [:]
        var counts: [SegmentName: Int] = [:]
        /// When the manifests were read.
        var generation: [UInt8]?

        mutating func add(_ name: ManifestName, _ references: [SegmentReference]) {
            guard segments[name] == nil else { return }
            segments[name] = references
            for reference in references { counts[reference.name, default: 0] += 1 }
        }

        /// - Returns: segments that nobody names any more.
        mutating func remove(_ name: ManifestName) -> [SegmentReference] {
            (segments.removeValue(forKey: name) ?? []).filter { reference in
                let rest = counts[reference.name, default: 1] - 1
                counts[reference.name] = rest > 0 ? rest : nil
                return rest == 0
            }
        }
    }

    /// Nil until the manifests have been read.
    private let uses = Monitor<Uses?>(nil)
    private let files: ManifestFiles
    private let catalog: CatalogIndex

    package init(files: ManifestFiles, catalog: CatalogIndex) {
        self.files = files
        self.catalog = catalog
    }

    /// A save has failed in its commit. Its manifest may be there all the same, so what is known of manifests is out of date.
    package func committedOrNot() { uses.withLock { $0 = nil } }

    /// A checkpoint has been committed.
    package func committed(_ manifest: Manifest) { uses.withLock { $0?.add(manifest.name, manifest.segments) } }

    /// Removes checkpoints, and hands the segments that none names any more to `discard`, or unlinks them.
    /// - Throws: at the first that cannot be removed; what is half removed is finished by the next recovery.
    package func remove(
        _ names: [ManifestName], discard: ((SegmentReference) throws -> Void)?
    ) throws(CheckpointError) {
        guard !names.isEmpty else { return }
        let maintenance = try translating("maintenance") { try MaintenanceLock(files.fileSystem, files.directories) }
        guard let maintenance else {
            throw CheckpointError(
                .busy, "another process is removing or repacking checkpoints", remedy: "It is tried again after the next save")
        }
        // Marks are made under the same lock, and may be newer than the choice of names.
        let protected = try MarkFiles(files).protected()
        let names = names.filter { !protected.contains($0) }
        try countUses(try translating("maintenance") { try maintenance.generation() })
        try translating("removing old checkpoints") {
            for name in names { try files.fileSystem.remove(files.directories.path(of: name)) }  // D1
            try files.fileSystem.syncDirectory(files.directories.manifests)  // D2
            catalog.remove(names)  // D3
            for segment in uses.withLock({ uses in names.flatMap { uses?.remove($0) ?? [] } }) {  // D4
                // What is missing need not go; the checkpoint that missed it has.
                let path = files.directories.path(of: segment.name)
                guard try files.fileSystem.kind(of: path) != nil else { continue }
                if let discard { try discard(segment) } else { try files.fileSystem.removeIfThere(path) }
            }
        }
    }

    /// Reads every manifest, while none is added, unless that was done before and only this writer has changed any since. One that cannot
    /// be read may name any segment, so nothing can be removed then.
    private func countUses(_ generation: [UInt8]?) throws(CheckpointError) {
        try uses.withLock { uses throws(CheckpointError) in
            if let known = uses, known.generation == generation { return }
            var counted = Uses(generation: generation)
            for name in try files.names() { counted.add(name, try files.load(name).manifest.segments) }
            uses = counted
        }
    }
}
