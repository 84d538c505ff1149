package import CheckpointCatalog
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import SystemPackage

/// Keeps the catalog in step with the manifests, or does without it. Nothing here can fail a save or a restore: the worst outcome is a
/// warning and slower lists.
package final class CatalogIndex: Sendable {
    private let files: ManifestFiles
    private let access: Catalog.Access
    /// False for file systems that only this process sees.
    package let isEnabled: Bool
    private let warn: @Sendable (String) -> Void
    private let catalog = Monitor<Catalog?>(nil)

    package init(files: ManifestFiles, access: Catalog.Access, isEnabled: Bool, warn: @escaping @Sendable (String) -> Void) {
        self.files = files
        self.access = access
        self.isEnabled = isEnabled
        self.warn = warn
        guard isEnabled else { return }
        let opened = access == .writing ? openForWriting() : openForReading()
        catalog.withLock { $0 = opened }
    }

    private var current: Catalog? { catalog.withLock { $0 } }

    private func openForReading() -> Catalog? {
        // Opening a named pipe would wait for somebody at its other end.
        guard (try? files.fileSystem.kind(of: files.directories.catalog)) == .file else { return nil }  // nor is what cannot be looked at
        // Without a usable catalog a reader reads the manifests.
        return try? Catalog(path: files.directories.catalog, access: .reading)
    }

    private func openForWriting() -> Catalog? {
        do {
            let kind = try files.fileSystem.kind(of: files.directories.catalog)
            guard kind == nil || kind == .file else { throw CatalogError("it is no file") }
            let catalog = try Catalog(path: files.directories.catalog, access: .writing)
            if isSmall { try catalog.checkIntegrity() }
            return catalog
        } catch let error as CatalogError where error.isBusy {
            // The other process goes on with it; what is missing in it is added by the next writer.
            warn("the catalog is in use, and not brought up to date: \(error)")
            return nil
        } catch {
            warn("the catalog is set aside and built again from the manifests: \(error)")
            return replace()
        }
    }

    /// Whether a full check costs nothing worth mentioning. In a larger catalog a failing query shows the damage.
    private var isSmall: Bool {
        let size = try? files.fileSystem.open(files.directories.catalog).size  // no file, nothing to check
        return (size ?? 0) <= 16 << 20
    }

    private func replace() -> Catalog? {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            // What is not there need not be removed, and what cannot be removed shows itself in the next line.
            try? files.fileSystem.remove(FilePath(files.directories.catalog.string + suffix))
        }
        do { return try Catalog(path: files.directories.catalog, access: .writing) } catch {
            warn("no catalog can be written: \(error); lists will be slower")
            return nil
        }
    }

    /// Adds one committed checkpoint.
    package func add(_ loaded: ManifestFiles.Loaded) {
        attempt { try $0.insert([(Self.entry(loaded), loaded.manifest)]) }
    }

    /// Removes checkpoints whose manifests are gone.
    package func remove(_ names: [ManifestName]) { attempt { try $0.delete(names) } }

    private func attempt(_ body: (Catalog) throws -> Void) {
        guard access == .writing, let catalog = current else { return }
        do { try body(catalog) } catch { warn("the catalog was not updated: \(error)") }
    }

    /// Brings the catalog into step with `names` (R2). Manifests that cannot be read are left out and returned.
    package func synchronize(with names: [ManifestName]) -> [ManifestName: CheckpointError] {
        guard access == .writing, let catalog = current else { return [:] }
        do {
            return try synchronize(catalog, with: names)
        } catch where error.isBusy {
            warn("the catalog is in use, and not brought up to date: \(error)")
            return [:]
        } catch {
            warn("the catalog is built again from the manifests: \(error)")
            let fresh = replace()
            self.catalog.withLock { $0 = fresh }
            guard let fresh else { return [:] }
            do { return try synchronize(fresh, with: names) } catch {
                warn("the catalog could not be built: \(error)")
                return [:]
            }
        }
    }

    private func synchronize(
        _ catalog: Catalog, with names: [ManifestName]
    ) throws(CatalogError) -> [ManifestName: CheckpointError] {
        let known = try catalog.names()
        let gone = known.subtracting(names)
        if !gone.isEmpty { try catalog.delete(Array(gone)) }
        var damaged: [ManifestName: CheckpointError] = [:]
        let missing = names.filter { !known.contains($0) }
        for start in stride(from: 0, to: missing.count, by: 64) {
            var batch: [(CatalogEntry, Manifest)] = []
            for name in missing[start..<min(start + 64, missing.count)] {
                do {
                    let loaded = try files.load(name)
                    batch.append((Self.entry(loaded), loaded.manifest))
                } catch { damaged[name] = error }
            }
            try catalog.insert(batch)
        }
        return damaged
    }

    /// Entries of these checkpoints, in this order, from the catalog where it knows them and from the manifests where not.
    package func entries(_ names: [ManifestName]) -> [Result<CatalogEntry, CheckpointError>] {
        let known = knownEntries(names)
        let byName = Dictionary(known.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        return names.map { name in
            if let entry = byName[name] { return .success(entry) }
            do throws(CheckpointError) { return .success(Self.entry(try files.load(name))) } catch { return .failure(error) }
        }
    }

    /// Those of `names` whose id begins so; one that cannot be read has no id.
    package func names(idPrefix prefix: String, among names: [ManifestName]) -> [ManifestName] {
        // A catalog that fails a query is as good as none.
        let found = try? current.map { (names: Set(try $0.names(idPrefix: prefix)), known: try $0.names()) }
        return names.filter { name in
            if let found, found.known.contains(name) { return found.names.contains(name) }
            return (try? files.load(name).manifest.id)?.description.hasPrefix(prefix) == true  // as said above
        }
    }

    /// The values of a metric that those of `names` have, in their order; one that cannot be read has none.
    package func values(of metric: String, among names: [ManifestName]) -> [(name: ManifestName, value: Double)] {
        // A catalog that fails a query is as good as none.
        let found = try? current.map { (values: try $0.values(of: metric), known: try $0.names()) }
        return names.compactMap { name in
            if let found, found.known.contains(name) { return found.values[name].map { (name, $0) } }
            return (try? files.load(name)).flatMap { Self.entry($0).metrics[metric] }.map { (name, $0) }  // as said above
        }
    }

    /// Segments that are in use as far as the catalog knows: reason enough to keep one, and never to remove one.
    package func segmentsInUse() -> Set<SegmentName> {
        // A catalog that fails a query is as good as none.
        (try? current?.segmentsInUse()) ?? []
    }

    /// A few names are looked up one by one, many by reading everything. A catalog that fails a query is as good as none.
    private func knownEntries(_ names: [ManifestName]) -> [CatalogEntry] {
        guard let catalog = current else { return [] }
        do {
            return names.count > 256 ? try catalog.entries() : try names.compactMap { try catalog.entry(named: $0) }
        } catch { return [] }
    }

    /// How many of these checkpoints the catalog does not know, and how many it knows that are not there; nil if it cannot be used.
    package func gap(_ names: [ManifestName]) -> (unknown: Int, gone: Int)? {
        // A catalog that fails a query is as good as none.
        guard let catalog = current, let known = try? catalog.names() else { return nil }
        return (names.count { !known.contains($0) }, known.subtracting(names).count)
    }

    /// Compares the catalog with a manifest; what is wrong with it, or nil. A checkpoint that is not in it is in order.
    package func contradiction(of loaded: ManifestFiles.Loaded) -> String? {
        guard let catalog = current else { return nil }
        do {
            guard let entry = try catalog.entry(named: loaded.manifest.name) else { return nil }
            return entry.isSame(as: Self.entry(loaded)) ? nil : "the catalog's row for \(entry.name) is not what the manifest says"
        } catch { return "\(error)" }
    }

    package static func entry(_ loaded: ManifestFiles.Loaded) -> CatalogEntry {
        CatalogEntry(loaded.manifest, manifestBytes: loaded.fileBytes, manifestHash: loaded.hash)
    }
}
