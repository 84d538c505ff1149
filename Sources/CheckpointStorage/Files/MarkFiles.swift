internal import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
internal import SystemPackage

/// Reads and writes the files in `tags/` and `pins/` (Formats/store-layout.md, Tags and pins).
///
/// Any thread. The lock of maintenance orders its writers.
package struct MarkFiles: Sendable {
    package let fileSystem: any FileSystem
    package let directories: StoreDirectories

    /// Uses the file system and the paths of `files`.
    package init(_ files: ManifestFiles) { (fileSystem, directories) = (files.fileSystem, files.directories) }

    // MARK: Reading

    /// Reads all tags and pins.
    ///
    /// - Returns: the marks; a tag that cannot be read is listed in `unreadable`.
    /// - Throws: code `io` (a directory cannot be listed).
    package func read() throws(CheckpointError) -> Marks {
        var marks = Marks()
        marks.pins = Set(try list(directories.pins).compactMap { ManifestName($0) })
        for tag in try list(directories.tags).compactMap({ TagName($0) }) {
            do throws(CheckpointError) { marks.tags[tag] = try mark(tag) } catch { marks.unreadable.append(error) }
        }
        return marks
    }

    /// Returns the names of the checkpoints that must not be removed.
    ///
    /// - Throws: codes `io`, `damaged`. One unreadable tag is an error: it may protect any
    ///   checkpoint.
    package func protected() throws(CheckpointError) -> Set<ManifestName> {
        let marks = try read()
        if let error = marks.unreadable.first { throw error }
        return marks.protected
    }

    /// Reads one tag.
    ///
    /// - Parameter tag: the tag.
    /// - Returns: its mark; nil if the tag does not exist.
    /// - Throws: codes `damaged`, `unsupported`, `io`.
    package func mark(_ tag: TagName) throws(CheckpointError) -> Mark? {
        let path = path(of: tag)
        guard let bytes = try contents(of: path) else { return nil }
        do { return try Mark(decoding: bytes, digest: Hashing.digest) } catch {
            var failure = CheckpointError(error, path: path.string)
            failure.remedy = "Set the tag again with ckpt tag --force"
            throw failure
        }
    }

    private func contents(of path: FilePath) throws(CheckpointError) -> [UInt8]? {
        do { return try fileSystem.contents(of: path, atMost: 4096) ?? [] } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw CheckpointError(error)
        }
    }

    /// Lists a directory. A store written by an earlier version has neither `tags/` nor `pins/`:
    /// empty.
    private func list(_ directory: FilePath) throws(CheckpointError) -> [String] {
        do { return try fileSystem.list(directory) } catch {
            if error.errno == .noSuchFileOrDirectory { return [] }
            throw CheckpointError(error)
        }
    }

    // MARK: Writing; the caller holds the maintenance lock

    private func path(of tag: TagName) -> FilePath { directories.tags.appending(tag.description) }
    private func path(of pin: ManifestName) -> FilePath { directories.pins.appending(pin.description) }

    package func set(_ tag: TagName, _ mark: Mark) throws(CheckpointError) { try write(mark, to: path(of: tag), in: directories.tags) }
    package func pin(_ mark: Mark) throws(CheckpointError) { try write(mark, to: path(of: mark.name), in: directories.pins) }
    package func remove(_ tag: TagName) throws(CheckpointError) { try remove(path(of: tag), in: directories.tags) }
    package func unpin(_ name: ManifestName) throws(CheckpointError) { try remove(path(of: name), in: directories.pins) }

    /// Makes the marks durable that another process has written: it may have been killed before it
    /// did so itself.
    package func sync() throws(CheckpointError) {
        try translating("syncing tags and pins") {
            try fileSystem.syncDirectoryIfThere(directories.tags)
            try fileSystem.syncDirectoryIfThere(directories.pins)
        }
    }

    /// Writes a mark: steps T1 to T3. At every moment the name leads to the old mark or the new
    /// one, complete.
    private func write(_ mark: Mark, to path: FilePath, in directory: FilePath) throws(CheckpointError) {
        try translating("writing \(path)") {
            // A copy of a store without empty directories has no staging/.
            for needed in [directory, directories.staging] { try fileSystem.makeDirectory(needed) }
            try fileSystem.syncDirectory(directories.root)
            let staged = directories.staging.appending("\(CheckpointID.random()).mark")
            try fileSystem.createDurably(staged, mark.encoded(digest: Hashing.digest))
            try fileSystem.replace(path, with: staged)
            try fileSystem.syncDirectory(directory)
        }
    }

    private func remove(_ path: FilePath, in directory: FilePath) throws(CheckpointError) {
        try translating("removing \(path)") {
            try fileSystem.remove(path)
            try fileSystem.syncDirectory(directory)
        }
    }
}
