internal import CheckpointCatalog
internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import SystemPackage

/// What a writer does when it opens a store: steps R1 to R3 of Formats/durability.md. The caller holds the lock.
package struct Recovery {
    package let files: ManifestFiles
    package let catalog: CatalogIndex
    package let warn: @Sendable (String) -> Void

    package func run() throws(CheckpointError) {
        try translating("recovery") {
            // Nil: somebody is at work in staging/ and segments/, and what is left over there stays until next time.
            let maintenance = try MaintenanceLock(files.fileSystem, files.directories)
            if maintenance != nil { try clearStaging() }
            let names = try files.names()
            for (name, error) in catalog.synchronize(with: names) { warn("checkpoint \(name) is damaged: \(error)") }
            if let maintenance { try removeOrphans(names, wasMaintained: maintenance.generation() != nil) }
        }
    }

    /// R1
    private func clearStaging() throws {
        let staging = files.directories.staging
        for name in try files.fileSystem.list(staging) { try files.fileSystem.remove(staging.appending(name)) }
    }

    /// Checkpoints that a repair has put aside: what they name may be all that is left of them, and may have been away at the time. Of one
    /// that cannot be read, every segment in question was given a name in `quarantine/`.
    private func quarantined() -> [Manifest] {
        let directory = files.directories.quarantine
        // No directory, nothing put aside.
        let names = (try? files.fileSystem.list(directory)) ?? []
        return names.filter { $0.contains(".manifest") }.compactMap { name in
            let path = directory.appending(name)
            // As said above.
            guard let bytes = try? files.fileSystem.contents(of: path, atMost: Limits.manifestBytesMax) else { return nil }
            return try? Manifest(decoding: bytes[...], digest: Hashing.digest)  // as said above
        }
    }

    /// R3. A segment bears the id of the attempt that wrote it, so the usual case, every segment's attempt committed, is seen from names
    /// that the catalog need not vouch for; anything else is decided by reading every manifest.
    /// - Parameter wasMaintained: manifests have been replaced before, and may name other segments than those of their own attempt.
    private func removeOrphans(_ names: [ManifestName], wasMaintained: Bool) throws {
        let segments = try files.fileSystem.list(files.directories.segments).compactMap { SegmentName($0) }
        guard !segments.isEmpty else { return }
        let entries = catalog.entries(names)
        let committed = Set(entries.compactMap { (try? $0.get())?.id })  // a damaged manifest commits nothing here
        var suspects = segments.filter { wasMaintained || !committed.contains($0.attempt) }
        // One that outlives its own checkpoint is named by a later one, which the catalog knows.
        if !suspects.isEmpty {
            let known = catalog.segmentsInUse()
            suspects.removeAll(where: known.contains)
        }
        guard !suspects.isEmpty else { return }
        var inUse = Set<SegmentName>()
        for name in names {
            do throws(CheckpointError) { inUse.formUnion(try files.load(name).manifest.segments.map(\.name)) } catch {
                warn("segments of unknown use are kept, because a manifest cannot be read: \(error)")
                return
            }
        }
        for manifest in quarantined() { inUse.formUnion(manifest.segments.map(\.name)) }
        for suspect in suspects where !inUse.contains(suspect) {
            try files.fileSystem.remove(files.directories.path(of: suspect))
        }
    }
}
