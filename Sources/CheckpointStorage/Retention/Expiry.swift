internal import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import SystemPackage

/// Removes checkpoints and orphan segments: steps D1 to D4 of Formats/durability.md, section 7.
///
/// Used by the store's only writer, which holds the writer lock; `remove` runs on one thread at a
/// time. The counts of section 9 are kept from call to call, and discarded when `generation`
/// changes.
package final class Expiry: Sendable {
    /// Segments named by each manifest, and number of manifests that name each segment.
    private struct Uses {
        var segments: [ManifestName: [SegmentReference]] = [:]
        var counts: [SegmentName: Int] = [:]
        /// Attempts that have committed the checkpoints.
        var attempts: [ManifestName: AttemptName] = [:]
        /// Line in `generation` when the manifests were read.
        var generation: [UInt8]?

        mutating func add(_ manifest: Manifest) {
            let (name, references) = (manifest.name, manifest.segments)
            guard segments[name] == nil else { return }
            attempts[name] = AttemptName(checkpoint: name, attempt: manifest.id)
            segments[name] = references
            for reference in references { counts[reference.name, default: 0] += 1 }
        }

        /// Forgets a manifest.
        ///
        /// - Returns: the segments that no manifest names any more.
        mutating func remove(_ name: ManifestName) -> [SegmentReference] {
            attempts[name] = nil
            return (segments.removeValue(forKey: name) ?? []).filter { reference in
                let rest = counts[reference.name, default: 1] - 1
                counts[reference.name] = rest > 0 ? rest : nil
                return rest == 0
            }
        }
    }

    /// Nil until the manifests have been read.
    private let uses = Monitor<Uses?>(nil, rank: .uses)
    private let files: ManifestFiles
    private let catalog: CatalogIndex

    /// Creates an expiry; reads nothing yet.
    ///
    /// - Parameters:
    ///   - files: the manifests.
    ///   - catalog: index to update after a removal.
    package init(files: ManifestFiles, catalog: CatalogIndex) {
        self.files = files
        self.catalog = catalog
    }

    /// Invalidates the counts after a save failed in its commit: its manifest may exist all the
    /// same. Any thread.
    package func invalidateCounts() { uses.withLock { $0 = nil } }

    /// Counts a committed checkpoint. Any thread.
    ///
    /// - Parameter manifest: the published manifest.
    package func committed(_ manifest: Manifest) { uses.withLock { $0?.add(manifest) } }

    /// Removes checkpoints, then the segments that no manifest names any more.
    ///
    /// Takes the maintenance lock without waiting, and holds it until the call ends. Pinned and
    /// tagged checkpoints stay.
    ///
    /// Unlike the other calls that remove or replace a manifest (prune in P2, repack in M3, repair
    /// in Q5), this one does not take the exclusive `flock()` on the manifest in D1
    /// (Formats/durability.md, section 8). That lock protects a checkpoint while a save in flight
    /// reuses its blocks. It is not needed here, because only the store's one writer saves, and
    /// this call runs in that writer: the caller leaves out the checkpoints that its own saves in
    /// flight reuse, and stops further reuse of the others before the call. In a bucket other
    /// machines may save, so there it takes the lock, and leaves what is locked.
    ///
    /// A reader that has the manifest open reads it to its end; segments that it opens later are
    /// missing, as after a prune. The maintenance lock keeps out processes that would replace the
    /// manifest.
    ///
    /// - Parameters:
    ///   - names: the checkpoints to remove; none is reused by a save in flight.
    ///   - discard: called with each orphan segment, to keep its file for reuse; nil unlinks the
    ///     files.
    /// - Throws: codes `busy` (another process has the maintenance lock), `damaged` (a manifest or
    ///   tag cannot be read, so nothing was removed), `io`. Stops at the first file that cannot be
    ///   removed; the next recovery removes segments that stay.
    package func remove(
        _ names: [ManifestName], discard: ((SegmentReference) throws -> Void)?
    ) throws(CheckpointError) {
        guard !names.isEmpty else { return }
        let maintenance = try translating("maintenance") { try MaintenanceLock(files.fileSystem, files.directories) }
        guard let maintenance else {
            throw CheckpointError(
                .busy, "another process is removing or repacking checkpoints", remedy: "The next save tries again")
        }
        defer { withExtendedLifetime(maintenance) {} }
        // Marks are written under the same lock, and may be newer than the choice of names. Those
        // of a process that was killed before it had synced them may not be durable yet.
        try MarkFiles(files).sync()
        let protected = try MarkFiles(files).protected()
        let chosen = names.filter { !protected.contains($0) }
        try countUses(try translating("maintenance") { try maintenance.generation() })
        let isAlone = files.fileSystem.excludesOtherWriters
        if !isAlone { try countOthers(forgets: true) }
        let attempts = uses.withLock { uses in
            chosen.map { (name: $0, attempt: uses?.attempts[$0]) }
        }
        try translating("removing old checkpoints") {
            let removal = ManifestRemoval(files: files, catalog: catalog)
            let gone = try removal.unpublish(
                attempts, isAlone ? .none : .others(tries: 1))  // D1 to D3
            if !isAlone { try countOthers(forgets: false) }
            let orphans = uses.withLock { uses in gone.flatMap { uses?.remove($0) ?? [] } }
            try removal.sweep(
                orphans, attempts.filter { gone.contains($0.name) }.compactMap(\.attempt),
                discard: discard)  // D4
        }
    }

    /// Counts the manifests that other machines have published since the last count: they may name
    /// segments of a checkpoint that was removed, on which their saves relied.
    ///
    /// - Parameter forgets: whether those that other machines have removed are forgotten.
    private func countOthers(forgets: Bool) throws(CheckpointError) {
        let names = try files.names()
        let known = uses.withLock { Set($0?.segments.keys.map { $0 } ?? []) }
        for name in names where !known.contains(name) {
            do throws(CheckpointError) {
                let manifest = try files.load(name).manifest
                uses.withLock { $0?.add(manifest) }
            } catch {
                // Gone again: it names nothing.
                guard error.code == .notFound else { throw error }
            }
        }
        guard forgets else { return }
        let gone = known.subtracting(names)
        uses.withLock { uses in for name in gone { _ = uses?.remove(name) } }
    }

    /// Counts the segments of every manifest, unless an earlier count is still valid: only this
    /// writer has changed manifests since.
    ///
    /// No manifest is added during the call. One that cannot be read may name any segment, so the
    /// call throws and nothing is removed.
    private func countUses(_ generation: [UInt8]?) throws(CheckpointError) {
        try uses.withLock { uses throws(CheckpointError) in
            if let known = uses, known.generation == generation { return }
            var counted = Uses(generation: generation)
            for name in try files.names() { counted.add(try files.load(name).manifest) }
            uses = counted
        }
    }
}
