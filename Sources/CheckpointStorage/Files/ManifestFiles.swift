package import CheckpointCatalog
internal import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
internal import Foundation
internal import SystemPackage

/// Reads the files in `manifests/`, which define the contents of the store.
///
/// Any thread; it takes no lock, and waits up to half a second for a manifest that is being
/// replaced.
package struct ManifestFiles: Sendable {
    package let fileSystem: any FileSystem
    package let directories: StoreDirectories

    /// A manifest, with its hash and its file's size.
    package struct Loaded: Sendable {
        package var manifest: Manifest
        package var hash: Hash128
        package var fileBytes: Int

        package init(manifest: Manifest, hash: Hash128, fileBytes: Int) {
            (self.manifest, self.hash, self.fileBytes) = (manifest, hash, fileBytes)
        }
    }

    package init(fileSystem: any FileSystem, directories: StoreDirectories) {
        (self.fileSystem, self.directories) = (fileSystem, directories)
    }

    /// Lists all checkpoints.
    ///
    /// - Returns: manifest names, oldest first. Other names in `manifests/` are skipped.
    /// - Throws: code `io`.
    package func names() throws(CheckpointError) -> [ManifestName] {
        // Sorting the step numbers of each run is faster than sorting all names.
        var steps: [RunID: [Int]] = [:]
        for name in try list().lazy.compactMap({ ManifestName($0) }) { steps[name.run, default: []].append(name.step) }
        return steps.keys.sorted().flatMap { run in (steps[run] ?? []).sorted().map { ManifestName(run: run, step: $0) } }
    }

    /// Lists the names in `manifests/` that are not manifest names, sorted.
    package func foreignNames() throws(CheckpointError) -> [String] {
        try list().filter { ManifestName($0) == nil }.sorted()
    }

    private func list() throws(CheckpointError) -> [String] {
        do { return try fileSystem.list(directories.manifests) } catch {
            // A copy of a store may lack empty directories (Formats/store-layout.md, Opening). A
            // dangling symbolic link is an error.
            if error.errno == .noSuchFileOrDirectory, isNotThere(directories.manifests) { return [] }
            throw CheckpointError(error)
        }
    }

    private func isNotThere(_ path: FilePath) -> Bool {
        do { return try fileSystem.identity(of: path) == nil && fileSystem.kind(of: path) == nil } catch { return false }
    }

    /// Reads and checks one manifest. The manifest of a checkpoint of several ranks is put together
    /// from its parts, as if one rank had saved it.
    ///
    /// - Parameters:
    ///   - name: the manifest's name.
    ///   - selection: what is needed of a checkpoint of several ranks; nil means everything.
    /// - Returns: the manifest, with the hash and size of its file.
    /// - Throws: codes `notFound`, `damaged`, `unsupported`, `io`.
    package func load(
        _ name: ManifestName, _ selection: PartFiles.Selection? = nil
    ) throws(CheckpointError) -> Loaded {
        var loaded = try loadFile(name)
        guard loaded.manifest.root != nil else { return loaded }
        let parts = PartFiles(fileSystem: fileSystem, directories: directories)
        do throws(CheckpointError) {
            loaded.manifest = try parts.assemble(loaded.manifest, selection)
        } catch {
            // A repack may have replaced the manifest by one without parts, or retention may have
            // removed it.
            let now: Hash128?
            do { now = try hash(of: name) } catch { now = nil }
            guard now != loaded.hash else { throw error }
            return try load(name, selection)
        }
        return loaded
    }

    /// Reads and checks the file of one manifest, and no parts.
    ///
    /// - Parameter name: the manifest's name.
    /// - Returns: the manifest as its file has it, with its hash and size.
    /// - Throws: codes `notFound`, `damaged`, `unsupported`, `io`.
    package func loadFile(_ name: ManifestName) throws(CheckpointError) -> Loaded {
        try decoding(name) { bytes throws(FormatError) in
            let manifest = try Manifest(decoding: bytes, digest: Hashing.digest)
            try Self.check(manifest, is: name)
            return Loaded(
                manifest: manifest, hash: Manifest.hash(ofEncoded: bytes), fileBytes: bytes.count)
        }
    }

    /// Reads and checks the file of one manifest, but for the entries of its tensors.
    ///
    /// - Parameter name: the manifest's name.
    /// - Returns: nil if the checkpoint is of several ranks.
    /// - Throws: codes `notFound`, `damaged`, `unsupported`, `io`.
    package func loadSparse(_ name: ManifestName) throws(CheckpointError) -> SparseManifest? {
        try decoding(name) { bytes throws(FormatError) in
            let manifest = try SparseManifest(decoding: bytes, digest: Hashing.digest)
            if let manifest { try Self.check(manifest.rest, is: name) }
            return manifest
        }
    }

    private func decoding<R>(
        _ name: ManifestName, _ body: (ArraySlice<UInt8>) throws(FormatError) -> R
    ) throws(CheckpointError) -> R {
        let path = directories.path(of: name)
        let bytes = try contents(path)
        do { return try body(bytes[...]) } catch { throw CheckpointError(error, path: path.string) }
    }

    private static func check(_ manifest: Manifest, is name: ManifestName) throws(FormatError) {
        guard manifest.name == name else {
            throw .damage(at: ManifestHeader.bytes, "it contains the checkpoint \(manifest.name)")
        }
        guard manifest.kind == .checkpoint else {
            throw .damage(at: 10, "it is the part of a rank, not a checkpoint")
        }
    }

    /// Reads which save has committed a checkpoint. Its cost does not depend on the size of the
    /// manifest, which may be many megabytes for a checkpoint of thousands of ranks.
    ///
    /// - Parameter name: the manifest's name.
    /// - Returns: the id and the hash that the file states; nothing else of it is checked.
    /// - Throws: codes `notFound`, `damaged`, `unsupported`, `io`.
    package func identity(
        of name: ManifestName
    ) throws(CheckpointError) -> (id: CheckpointID, hash: Hash128) {
        do throws(FileSystemError) {
            let file = try fileSystem.open(directories.path(of: name))
            if file.size >= Manifest.idEnd + 16,
                let id = Manifest.id(
                    atBeginningOf: try file.read(count: Manifest.idEnd, at: 0))
            {
                let end = try file.read(count: 16, at: file.size - 16)
                return (id, Manifest.hash(ofEncoded: end))
            }
        } catch {}  // `loadFile` throws the reason.
        let loaded = try loadFile(name)
        return (loaded.manifest.id, loaded.hash)
    }

    /// Loads a manifest and calls `body` with it.
    ///
    /// If `body` finds a segment missing or damaged, and the manifest was replaced by a repack
    /// while it ran, `body` is called once more with the new manifest.
    ///
    /// - Parameters:
    ///   - name: the manifest's name.
    ///   - selection: what is needed of a checkpoint of several ranks; nil means everything.
    ///   - body: reads segments that the manifest names; must be able to start over.
    /// - Returns: the result of `body`.
    /// - Throws: as `load`, and the error of `body`.
    package func reading<R>(
        _ name: ManifestName, _ selection: PartFiles.Selection? = nil,
        _ body: (Manifest) throws(CheckpointError) -> R
    ) throws(CheckpointError) -> R {
        let loaded = try load(name, selection)
        do throws(CheckpointError) { return try body(loaded.manifest) } catch {
            guard error.code.meansDamage else { throw error }
            // If the manifest was not replaced, or cannot be read again, the error is that of the
            // first try.
            guard let newer = try? load(name, selection), newer.hash != loaded.hash else { throw error }
            return try body(newer.manifest)
        }
    }

    /// Returns the place of a checkpoint in its run, from its manifest. Reads no parts: all ranks
    /// ask this of many checkpoints.
    ///
    /// - Parameter name: name of the checkpoint.
    /// - Returns: an error if the manifest cannot be read.
    package func member(_ name: ManifestName) -> Result<RunMember, CheckpointError> {
        Result { () throws(CheckpointError) in RunMember(try loadFile(name).manifest) }
    }

    /// Reads only the tables of one manifest. Does not compare the name in the file with `name`.
    ///
    /// - Parameter name: the manifest's name.
    /// - Throws: codes `notFound`, `damaged`, `unsupported`, `io`.
    package func loadTables(_ name: ManifestName) throws(CheckpointError) -> Manifest.Tables {
        let path = directories.path(of: name)
        let bytes = try contents(path)
        let (features, tables): (Set<RequiredFeature>, Manifest.Tables)
        do {
            (features, tables) = try Manifest.Tables.decoded(bytes[...], digest: Hashing.digest)
        } catch { throw CheckpointError(error, path: path.string) }
        guard features.contains(.parts) else { return tables }
        let loaded = try load(name)
        return Manifest.Tables(loaded.manifest, hash: loaded.hash)
    }

    /// Reads the hash that identifies a manifest: the last 16 bytes of its file.
    ///
    /// - Parameter name: the manifest's name.
    /// - Returns: the hash; nil if the file is too short.
    /// - Throws: the error of the system call.
    package func hash(of name: ManifestName) throws(FileSystemError) -> Hash128? {
        let file = try fileSystem.open(directories.path(of: name))
        guard file.size >= 16 else { return nil }
        return Manifest.hash(ofEncoded: try file.read(count: 16, at: file.size - 16))
    }

    /// Reads a manifest file. A file whose name exists but which cannot be opened is locked by a
    /// process that is about to replace or remove it (Formats/durability.md, M3): the lock is held
    /// only briefly, so the read is tried again for half a second.
    ///
    /// - Returns: the bytes; nil if the file is larger than any manifest.
    private func contentsUnlessGone(_ path: FilePath) throws(FileSystemError) -> [UInt8]? {
        for attempt in 0... {
            do throws(FileSystemError) { return try fileSystem.contents(of: path, atMost: Limits.manifestBytesMax) } catch {
                guard error.errno == .noSuchFileOrDirectory, attempt < 250, try fileSystem.kind(of: path) == .file else { throw error }
                Thread.sleep(forTimeInterval: 0.002)
            }
        }
        return nil
    }

    private func isLinkToNothing(_ path: FilePath) -> Bool {
        do { return try fileSystem.kind(of: path) == nil && fileSystem.identity(of: path) != nil } catch { return false }
    }

    private func contents(_ path: FilePath) throws(CheckpointError) -> [UInt8] {
        let bytes: [UInt8]?
        do { bytes = try contentsUnlessGone(path) } catch {
            if error.errno == .noSuchFileOrDirectory, isLinkToNothing(path) {
                throw CheckpointError(.damaged, "\(path) is a symbolic link to a missing file", path: path.string)
            }
            throw CheckpointError(error)
        }
        guard let bytes else {
            throw CheckpointError(.damaged, "\(path) is larger than any manifest", path: path.string, offset: 0)
        }
        return bytes
    }
}
