internal import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
internal import SystemPackage

/// The files that hold the tags and pins of a store.
package struct MarkFiles: Sendable {
    package let fileSystem: any FileSystem
    package let directories: StoreDirectories

    package init(_ files: ManifestFiles) { (fileSystem, directories) = (files.fileSystem, files.directories) }

    // MARK: Reading

    package func read() throws(CheckpointError) -> Marks {
        var marks = Marks()
        marks.pins = Set(try list(directories.pins).compactMap { ManifestName($0) })
        for tag in try list(directories.tags).compactMap({ TagName($0) }) {
            do throws(CheckpointError) { marks.tags[tag] = try mark(tag) } catch { marks.unreadable.append(error) }
        }
        return marks
    }

    /// Names of the checkpoints that must not be removed.
    /// - Throws: also if one tag cannot be read: it may protect any.
    package func protected() throws(CheckpointError) -> Set<ManifestName> {
        let marks = try read()
        if let error = marks.unreadable.first { throw error }
        return marks.protected
    }

    /// What a tag says; nil if there is no such tag.
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

    /// A store of an earlier version has neither directory.
    private func list(_ directory: FilePath) throws(CheckpointError) -> [String] {
        do { return try fileSystem.list(directory) } catch {
            if error.errno == .noSuchFileOrDirectory { return [] }
            throw CheckpointError(error)
        }
    }

    // MARK: Writing, by whoever has the right to maintain

    private func path(of tag: TagName) -> FilePath { directories.tags.appending(tag.description) }
    private func path(of pin: ManifestName) -> FilePath { directories.pins.appending(pin.description) }

    package func set(_ tag: TagName, _ mark: Mark) throws(CheckpointError) { try write(mark, to: path(of: tag), in: directories.tags) }
    package func pin(_ mark: Mark) throws(CheckpointError) { try write(mark, to: path(of: mark.name), in: directories.pins) }
    package func remove(_ tag: TagName) throws(CheckpointError) { try remove(path(of: tag), in: directories.tags) }
    package func unpin(_ name: ManifestName) throws(CheckpointError) { try remove(path(of: name), in: directories.pins) }

    /// Steps T1 to T3: what is under the name is the old mark or the new one, whole, at every moment.
    private func write(_ mark: Mark, to path: FilePath, in directory: FilePath) throws(CheckpointError) {
        try translating("writing \(path)") {
            try fileSystem.makeDirectory(directory)
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
