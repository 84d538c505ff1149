internal import CheckpointCatalog
internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import SystemPackage

/// Recovery when a writer opens a store: steps R1 to R3 of Formats/durability.md. The caller holds
/// the writer lock.
package struct Recovery {
    package let files: ManifestFiles
    package let catalog: CatalogIndex
    package let warn: @Sendable (String) -> Void

    /// Runs R1 to R3. Skips R1 and R3 if another process holds the maintenance lock, or if it
    /// would not exclude all others.
    ///
    /// - Returns: what was removed.
    /// - Throws: codes `io`, `readOnly`. Damaged manifests are reported through `warn`.
    @discardableResult
    package func run() throws(CheckpointError) -> Leavings {
        try translating("recovery") {
            var removed = Leavings()
            // Nil: another process is working in staging/ and segments/, or may be, on a machine
            // that locks do not reach. Leftovers stay until the next opening.
            let maintenance =
                files.fileSystem.excludesOtherWriters
                ? try MaintenanceLock(files.fileSystem, files.directories) : nil
            defer { withExtendedLifetime(maintenance) {} }
            // Attempts of several ranks that may still be in flight, on any machine.
            var inFlight: Set<CheckpointID> = []
            if maintenance != nil {
                // A process that had this lock may have been killed before it synced what it did.
                try files.fileSystem.syncDirectory(files.directories.manifests)
                let (attempts, now) = (RankAttempts(files: files), Clock.milliseconds)
                inFlight = try attempts.collect(now: now) { try remove($0, &removed) }
                try attempts.collectLaunches(now: now) { try remove($0, &removed) }
                try clearStaging(except: inFlight, &removed)
            } else {
                removed.isComplete = false
            }
            let names = try files.names()
            for (name, error) in catalog.synchronize(with: names) {
                warn("checkpoint \(name) is damaged: \(error)")
            }
            guard let maintenance else { return removed }
            try removeOrphans(
                names, except: inFlight, wasMaintained: maintenance.generation() != nil, &removed)
            return removed
        }
    }

    /// R1: removes everything in `staging/` but the segments of ranks in flight.
    private func clearStaging(
        except inFlight: Set<CheckpointID>, _ removed: inout Leavings
    ) throws {
        let staging = files.directories.staging
        for name in try files.fileSystem.list(staging) {
            if let segment = SegmentName(name), inFlight.contains(segment.attempt) { continue }
            try remove(staging.appending(name), &removed)
        }
    }

    private func remove(_ path: FilePath, _ removed: inout Leavings) throws {
        // Its size is for people only.
        let bytes = (try? files.fileSystem.open(path).size) ?? 0
        try files.fileSystem.remove(path)
        removed.count += 1
        removed.bytes += bytes
    }

    /// Returns the manifests that a repair has moved to `quarantine/`.
    ///
    /// Their segments may be all that is left of those checkpoints, and may have been out of reach
    /// during the repair, so R3 keeps them. For a manifest that could not be read, the repair has
    /// linked every segment in question into `quarantine/`.
    private func quarantined() -> [Manifest] {
        let directory = files.directories.quarantine
        // No directory: no repair has moved anything.
        let names = (try? files.fileSystem.list(directory)) ?? []
        return names.filter { $0.contains(".manifest") }.compactMap { name in
            let path = directory.appending(name)
            // A file that cannot be read names no segment; its segments have a second name in
            // quarantine.
            let bytes = try? files.fileSystem.contents(of: path, atMost: Limits.manifestBytesMax)
            guard let bytes else { return nil }
            // Nor does a damaged manifest name any.
            let manifest = try? Manifest(decoding: bytes[...], digest: Hashing.digest)
            guard let manifest, manifest.root != nil else { return manifest }
            // If a part is damaged, the repair has linked its segments into quarantine, too.
            return try? PartFiles(
                fileSystem: files.fileSystem, directories: files.directories
            ).assemble(manifest)
        }
    }

    /// Returns true if a segment's file has a durable second name in `quarantine/`, so that nothing
    /// is lost with its first one: a repair that was killed before Q6 has left it.
    private func isKept(_ segment: SegmentName) throws(FileSystemError) -> Bool {
        let (fileSystem, directories) = (files.fileSystem, files.directories)
        try fileSystem.syncDirectory(directories.quarantine)
        guard let first = try fileSystem.identity(of: directories.path(of: segment)),
            let second = try fileSystem.identity(
                of: directories.quarantine.appending(segment.description))
        else { return false }
        return first.isSame(as: second)
    }

    /// R3: removes segments that no manifest names.
    ///
    /// A segment's name contains the id of the attempt that wrote it. In the usual case every
    /// segment's attempt is committed; that is decided from names, without trusting the catalog.
    /// Anything else is decided by reading every manifest.
    ///
    /// - Parameters:
    ///   - names: names of all manifests.
    ///   - inFlight: attempts of several ranks whose segments stay.
    ///   - wasMaintained: true if manifests have been replaced before, and so may name segments of
    ///     other attempts than their own.
    private func removeOrphans(
        _ names: [ManifestName], except inFlight: Set<CheckpointID>, wasMaintained: Bool,
        _ removed: inout Leavings
    ) throws {
        let segments = try files.fileSystem.list(files.directories.segments)
            .compactMap { SegmentName($0) }.filter { !inFlight.contains($0.attempt) }
        guard !segments.isEmpty else { return }
        let entries = catalog.entries(names)
        let committed = Set(entries.compactMap { (try? $0.get())?.id })  // a damaged manifest commits nothing here
        var suspects = segments.filter { wasMaintained || !committed.contains($0.attempt) }
        // A segment that outlives its own checkpoint is named by a later one, which the catalog
        // knows.
        if !suspects.isEmpty {
            let known = catalog.segmentsInUse()
            suspects.removeAll(where: known.contains)
        }
        guard !suspects.isEmpty else { return }
        var inUse = Set<SegmentName>()
        for name in names {
            do throws(CheckpointError) {
                inUse.formUnion(try files.load(name).manifest.segments.map(\.name))
            } catch {
                warn(
                    "unused segments are kept, because a manifest cannot be read: \(error)")
                removed.isComplete = false
                return
            }
        }
        let spared = Set(quarantined().flatMap { $0.segments.map(\.name) })
        for suspect in suspects where !inUse.contains(suspect) {
            if spared.contains(suspect), try !isKept(suspect) { continue }
            try remove(files.directories.path(of: suspect), &removed)
        }
    }
}
