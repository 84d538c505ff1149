package import CheckpointCatalog
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
package import SystemPackage

/// Keeps the catalog in step with the manifests, or works without it.
///
/// Nothing here can fail a save or a restore: the worst outcome is a warning and slower lists.
///
/// Any thread. SQLite works, and waits for other processes, with its lock not held.
package final class CatalogIndex: Sendable {
    private let files: ManifestFiles
    private let fileSystem: any FileSystem
    private let path: FilePath
    private let access: Catalog.Access
    private let place: Place
    private let warn: @Sendable (String) -> Void
    private let catalog = Monitor<Catalog?>(nil)

    /// The place of a catalog.
    package enum Place: Sendable, Equatable {
        /// Nowhere: SQLite does not see the file system.
        case nowhere
        /// In the store's directory.
        case store
        /// At this path of this machine, for one user: the store lies where SQLite cannot write.
        /// Readers fill it, too.
        case cache(FilePath)
    }

    /// Opens the catalog, and replaces it if it is damaged and `access` is for writing.
    ///
    /// - Parameters:
    ///   - files: the manifests.
    ///   - access: reading or writing.
    ///   - place: where the catalog lies.
    ///   - warn: called with each problem, from any thread.
    package init(
        files: ManifestFiles, access: Catalog.Access, place: Place,
        warn: @escaping @Sendable (String) -> Void
    ) {
        self.files = files
        self.place = place
        switch place {
        case .cache(let path):
            (fileSystem, self.path) = (POSIXFileSystem(usesDirectIO: false), path)
            self.access = .writing
            // Nobody needs to know: without the cache, the manifests are read.
            self.warn = { _ in }
        case .nowhere, .store:
            (fileSystem, path) = (files.fileSystem, files.directories.catalog)
            self.access = access
            self.warn = warn
        }
        guard place != .nowhere else { return }
        let opened = self.access == .writing ? openForWriting() : openForReading()
        catalog.withLock { $0 = opened }
    }

    /// Opens the catalog of a store for writing, and creates none.
    ///
    /// - Parameter files: the manifests.
    /// - Returns: nil if there is no catalog.
    package convenience init?(existingIn files: ManifestFiles) {
        // A path of unknown kind is not opened.
        let kind = try? files.fileSystem.kind(of: files.directories.catalog)
        guard kind == .file else { return nil }
        // Problems show when the store is opened.
        self.init(files: files, access: .writing, place: .store) { _ in }
    }

    /// True if the store is a directory of this machine, to which other programs have access.
    package var isInStore: Bool { place == .store }

    /// True if the store lies where SQLite cannot write.
    package var isCache: Bool {
        if case .cache = place { true } else { false }
    }

    /// True if rows can be added.
    package var isWritable: Bool { access == .writing && current != nil }

    private var current: Catalog? { catalog.withLock { $0 } }

    private func openForReading() -> Catalog? {
        // Opening a FIFO would block until another process opens its other end.
        // A path of unknown kind is not opened either.
        guard (try? fileSystem.kind(of: path)) == .file else {
            return nil
        }
        // Without a usable catalog a reader reads the manifests.
        return try? Catalog(path: path, access: .reading)
    }

    private func openForWriting() -> Catalog? {
        do {
            let kind = try fileSystem.kind(of: path)
            guard kind == nil || kind == .file else { throw CatalogError("it is not a file") }
            if kind == nil { createFile() }
            let catalog = try Catalog(path: path, access: .writing)
            if isSmall { try catalog.checkIntegrity() }
            return catalog
        } catch let error as CatalogError where error.isTransient {
            // The other process continues to use it; the next writer adds the rows that it lacks.
            warn("the catalog was not updated: \(error)")
            return nil
        } catch let error as CatalogError where error.kind == .ofAnotherVersion {
            // As it should be after an update.
            return replace()
        } catch {
            warn("the catalog is damaged, and is rebuilt from the manifests: \(error)")
            return replace()
        }
    }

    /// True if the catalog is small enough for a full check at every opening. In a larger one,
    /// damage shows in a failing query.
    private var isSmall: Bool {
        // If the file does not exist, there is nothing to check.
        let size = try? fileSystem.open(path).size
        return (size ?? 0) <= 16 << 20
    }

    private func replace() -> Catalog? {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            // A missing file needs no removal; a file that cannot be removed makes the next line
            // fail.
            try? fileSystem.remove(FilePath(path.string + suffix))
        }
        createFile()
        do { return try Catalog(path: path, access: .writing) } catch {
            warn("the catalog cannot be written, so lists are slower: \(error)")
            return nil
        }
    }

    /// Creates an empty file, with the permissions that the umask allows. SQLite would allow writing
    /// to the owner alone, whatever the umask.
    private func createFile() {
        // SQLite reports what is wrong.
        if let file = try? fileSystem.create(path) { file.close() }
    }

    /// Adds a row for one committed checkpoint (W10).
    ///
    /// - Parameter loaded: the manifest, with its hash and size.
    package func add(_ loaded: ManifestFiles.Loaded) {
        attempt { try $0.insert([(Self.entry(loaded), loaded.manifest)]) }
    }

    /// Removes the rows of checkpoints whose manifests were removed.
    package func remove(_ names: [ManifestName]) { attempt { try $0.delete(names) } }

    /// Removes the row of a checkpoint whose manifest is about to be replaced (M4). No crash brings
    /// it back.
    package func forget(_ name: ManifestName) {
        attempt { try $0.delete([name], isDurable: true) }
    }

    private func attempt(_ body: (Catalog) throws -> Void) {
        guard access == .writing, let catalog = current else { return }
        do { try body(catalog) } catch { warn("the catalog was not updated: \(error)") }
    }

    /// Brings the catalog into step with the manifests (R2).
    ///
    /// - Parameter names: names of all manifests.
    /// - Returns: the error of each manifest that cannot be read; the catalog has no row for it.
    package func synchronize(with names: [ManifestName]) -> [ManifestName: CheckpointError] {
        guard access == .writing, let catalog = current else { return [:] }
        do {
            return try synchronize(catalog, with: names)
        } catch  where error.isTransient {
            warn("the catalog was not updated: \(error)")
            return [:]
        } catch {
            warn("the catalog is rebuilt from the manifests: \(error)")
            let fresh = replace()
            self.catalog.withLock { $0 = fresh }
            guard let fresh else { return [:] }
            do { return try synchronize(fresh, with: names) } catch {
                warn("the catalog could not be rebuilt: \(error)")
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

    /// Returns the entries of checkpoints, from the catalog where it has a row, otherwise from the
    /// manifests.
    ///
    /// - Parameter names: names of the checkpoints.
    /// - Returns: one result per name, in the same order; an error where the manifest cannot be
    ///   read.
    package func entries(_ names: [ManifestName]) -> [Result<CatalogEntry, CheckpointError>] {
        let known = knownEntries(names)
        let byName = Dictionary(
            known.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        return names.map { name in
            if let entry = byName[name] { return .success(entry) }
            do throws(CheckpointError) {
                let loaded = try files.load(name)
                if isCache { add(loaded) }
                return .success(Self.entry(loaded))
            } catch {
                return .failure(error)
            }
        }
    }

    /// Returns what each checkpoint is in its run, from the catalog where it has a row, otherwise
    /// from the manifest.
    ///
    /// - Parameter names: names of the checkpoints.
    /// - Returns: one result per name, in the same order; an error where the manifest cannot be
    ///   read.
    package func members(_ names: [ManifestName]) -> [Result<RunMember, CheckpointError>] {
        // If the catalog fails the query, the manifests are read instead.
        let known = (try? current?.members()) ?? [:]
        return names.map { name in known[name].map { .success($0) } ?? files.member(name) }
    }

    /// Returns those of `names` whose id has a prefix. A manifest that cannot be read has no id.
    ///
    /// - Parameters:
    ///   - prefix: first hexadecimal digits of the id.
    ///   - names: the checkpoints to search.
    package func names(idPrefix prefix: String, among names: [ManifestName]) -> [ManifestName] {
        // If the catalog fails a query, the manifests are read instead.
        let found = try? current.map {
            (names: Set(try $0.names(idPrefix: prefix)), known: try $0.names())
        }
        return names.filter { name in
            if let found, found.known.contains(name) { return found.names.contains(name) }
            // A manifest that cannot be read has no id.
            return (try? files.load(name).manifest.id)?.description.hasPrefix(prefix) == true
        }
    }

    /// Returns the values of a metric.
    ///
    /// - Parameters:
    ///   - metric: name of the metric.
    ///   - names: the checkpoints to search.
    /// - Returns: name and value of each checkpoint that has the metric, in the order of `names`. A
    ///   manifest that cannot be read has no metrics.
    package func values(of metric: String, among names: [ManifestName]) -> [(
        name: ManifestName, value: Double
    )] {
        // If the catalog fails a query, the manifests are read instead.
        let found = try? current.map { (values: try $0.values(of: metric), known: try $0.names()) }
        return names.compactMap { name in
            if let found, found.known.contains(name) {
                return found.values[name].map { (name, $0) }
            }
            // A manifest that cannot be read has no metrics.
            return (try? files.load(name)).flatMap { Self.entry($0).metrics[metric] }.map {
                (name, $0)
            }
        }
    }

    /// Returns the segments that are in use according to the catalog. That is reason enough to keep
    /// a segment; a segment that is not listed may be in use all the same.
    package func segmentsInUse() -> Set<SegmentName> {
        // If the catalog fails a query, the caller reads the manifests instead.
        (try? current?.segmentsInUse()) ?? []
    }

    /// Returns the catalog's entries for `names`: few names are looked up one by one, many by
    /// reading all rows. If a query fails, the result is empty, and the manifests are read instead.
    private func knownEntries(_ names: [ManifestName]) -> [CatalogEntry] {
        guard let catalog = current else { return [] }
        do {
            return names.count > 256
                ? try catalog.entries() : try names.compactMap { try catalog.entry(named: $0) }
        } catch { return [] }
    }

    /// Counts the differences between the catalog and the manifests.
    ///
    /// - Parameter names: names of all manifests.
    /// - Returns: the number of manifests without a row, and of rows without a manifest; nil if the
    ///   catalog cannot be used.
    package func gap(_ names: [ManifestName]) -> (unknown: Int, gone: Int)? {
        // A catalog that fails a query cannot be used: nil.
        guard let catalog = current, let known = try? catalog.names() else { return nil }
        return (names.count { !known.contains($0) }, known.subtracting(names).count)
    }

    /// Compares the catalog's row with a manifest. In a cache, a row that differs is corrected.
    ///
    /// - Parameter loaded: the manifest, with its hash and size.
    /// - Returns: the difference, as a message; nil if there is none, or if the catalog has no row.
    package func contradiction(of loaded: ManifestFiles.Loaded) -> String? {
        guard let catalog = current else { return nil }
        do {
            guard let entry = try catalog.entry(named: loaded.manifest.name),
                !entry.isSame(as: Self.entry(loaded))
            else { return nil }
            // The manifest was replaced from another machine, which does not know of this cache.
            if isCache {
                remove([entry.name])
                add(loaded)
                return nil
            }
            return "the row of the catalog for \(entry.name) differs from the manifest"
        } catch { return "\(error)" }
    }

    /// Returns the catalog entry that corresponds to a manifest.
    package static func entry(_ loaded: ManifestFiles.Loaded) -> CatalogEntry {
        CatalogEntry(loaded.manifest, manifestBytes: loaded.fileBytes, manifestHash: loaded.hash)
    }
}
