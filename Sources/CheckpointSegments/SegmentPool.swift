package import CheckpointFormat
package import CheckpointIO
package import SystemPackage

/// Files of segments that no manifest names any more, kept in `staging/` to be written over by the next save: that takes half the time of
/// a new file, and unlinking takes an eighth of a second per GB (Formats/durability.md, Deleting).
package final class SegmentPool: Sendable {
    private struct Spare {
        var path: FilePath
        var bytes: Int
    }

    private let fileSystem: any FileSystem
    private let directories: StoreDirectories
    private let spares = Monitor<[Spare]>([])

    package init(fileSystem: any FileSystem, directories: StoreDirectories) {
        self.fileSystem = fileSystem
        self.directories = directories
    }

    /// Bytes of the files kept.
    package var bytes: Int { spares.withLock { $0.reduce(0) { $0 + $1.bytes } } }
    package var count: Int { spares.withLock { $0.count } }

    /// Takes over a segment of `bytes` bytes that no manifest names: step D4.
    package func add(_ name: SegmentName, bytes: Int) throws(FileSystemError) {
        let spare = Spare(path: directories.staging.appending("\(name).spare"), bytes: bytes)
        try fileSystem.link(directories.path(of: name), to: spare.path)
        try fileSystem.remove(directories.path(of: name))
        spares.withLock { $0.append(spare) }
    }

    /// A file to be written over, under the name `staged`, or nil. One that somebody is still reading is left to him.
    package func take(as staged: FilePath) -> (any WritableFile)? {
        while let spare = spares.withLock({ $0.popLast() }) {
            if let file = reopen(spare, as: staged) { return file }
        }
        return nil
    }

    private func reopen(_ spare: Spare, as staged: FilePath) -> (any WritableFile)? {
        // A name that stays is removed by the next recovery.
        defer { try? fileSystem.remove(spare.path) }
        do throws(FileSystemError) {
            // A file with another name is somebody's copy: in quarantine, or made by linking instead of copying.
            guard try fileSystem.identity(of: spare.path)?.names == 1 else { return nil }
            guard let file = try fileSystem.reopen(spare.path) else { return nil }
            do throws(FileSystemError) { try fileSystem.link(spare.path, to: staged) } catch {
                file.close()
                throw error
            }
            return file
        } catch {
            // A file that cannot be had is replaced by a new one.
            return nil
        }
    }

    /// Removes files until at most `count` are left.
    package func shrink(to count: Int) {
        while let spare = spares.withLock({ $0.count > count ? $0.removeFirst() : nil }) {
            // What cannot be removed now is removed by the next recovery.
            try? fileSystem.remove(spare.path)
        }
    }
}
