internal import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
internal import Foundation
internal import SystemPackage

/// Reads the files in `manifests/`: the truth of a store.
package struct ManifestFiles: Sendable {
    package let fileSystem: any FileSystem
    package let directories: StoreDirectories

    /// A manifest with what the file says of itself.
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

    /// Names of all checkpoints, oldest first. Foreign names are skipped.
    package func names() throws(CheckpointError) -> [ManifestName] {
        // Numbers of one run are sorted quicker than names of many.
        var steps: [RunID: [Int]] = [:]
        for name in try list().lazy.compactMap({ ManifestName($0) }) { steps[name.run, default: []].append(name.step) }
        return steps.keys.sorted().flatMap { run in (steps[run] ?? []).sorted().map { ManifestName(run: run, step: $0) } }
    }

    /// Names in `manifests/` that are not manifests.
    package func foreignNames() throws(CheckpointError) -> [String] {
        try list().filter { ManifestName($0) == nil }.sorted()
    }

    private func list() throws(CheckpointError) -> [String] {
        do { return try fileSystem.list(directories.manifests) } catch {
            // A copy may leave out empty directories (Formats/store-layout.md, Opening). A link to nothing is another matter.
            if error.errno == .noSuchFileOrDirectory, isNotThere(directories.manifests) { return [] }
            throw CheckpointError(error)
        }
    }

    private func isNotThere(_ path: FilePath) -> Bool {
        do { return try fileSystem.identity(of: path) == nil && fileSystem.kind(of: path) == nil } catch { return false }
    }

    /// Reads and checks one manifest.
    package func load(_ name: ManifestName) throws(CheckpointError) -> Loaded {
        let path = directories.path(of: name)
        let bytes = try contents(path)
        do throws(FormatError) {
            let manifest = try Manifest(decoding: bytes[...], digest: Hashing.digest)
            guard manifest.name == name else {
                throw FormatError.damage(at: ManifestHeader.bytes, "the file says that it is \(manifest.name)")
            }
            guard manifest.kind == .checkpoint else { throw FormatError.damage(at: 10, "a part in a checkpoint's place") }
            return Loaded(manifest: manifest, hash: Manifest.hash(ofEncoded: bytes), fileBytes: bytes.count)
        } catch {
            throw CheckpointError(error, path: path.string)
        }
    }

    /// Reads one manifest, and does something with what it names. If that is gone because history has been repacked meanwhile, it is done
    /// once more with what is there now.
    package func reading<R>(
        _ name: ManifestName, _ body: (Manifest) throws(CheckpointError) -> R
    ) throws(CheckpointError) -> R {
        let loaded = try load(name)
        do throws(CheckpointError) { return try body(loaded.manifest) } catch {
            guard error.code == .notFound || error.code == .damaged else { throw error }
            // The error is that of the first try if there is nothing new.
            guard let newer = try? load(name), newer.hash != loaded.hash else { throw error }
            return try body(newer.manifest)
        }
    }

    /// Reads the tables of one manifest, and believes its name.
    package func loadTables(_ name: ManifestName) throws(CheckpointError) -> Manifest.Tables {
        let path = directories.path(of: name)
        let bytes = try contents(path)
        do { return try Manifest.Tables(decoding: bytes[...], digest: Hashing.digest) } catch {
            throw CheckpointError(error, path: path.string)
        }
    }

    /// The hash by which a manifest is known, read off its end.
    package func hash(of name: ManifestName) throws(FileSystemError) -> Hash128? {
        let file = try fileSystem.open(directories.path(of: name))
        guard file.size >= 16 else { return nil }
        return Manifest.hash(ofEncoded: try file.read(count: 16, at: file.size - 16))
    }

    /// A file whose name is there, and which cannot be opened, is about to be replaced or removed (Formats/durability.md, M3): whoever does
    /// that has it for a moment.
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
                throw CheckpointError(.damaged, "\(path) is a symbolic link that leads to nothing", path: path.string)
            }
            throw CheckpointError(error)
        }
        guard let bytes else {
            throw CheckpointError(.damaged, "\(path) is larger than any manifest", path: path.string, offset: 0)
        }
        return bytes
    }
}
