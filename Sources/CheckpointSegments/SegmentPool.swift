package import CheckpointFormat
package import CheckpointIO
package import SystemPackage

/// Files of segments that no manifest references any more, kept in `staging/` as spare files. The
/// next save overwrites them instead of creating files, because this takes half the time, and
/// because unlinking takes an eighth of a second per GB (Formats/durability.md, Deleting).
/// Thread-safe.
package final class SegmentPool: Sendable {
    private struct Spare {
        var path: FilePath
        var bytes: Int
    }

    private let fileSystem: any FileSystem
    private let directories: StoreDirectories
    private let spares = Monitor<[Spare]>([], rank: .pool)

    /// Creates an empty pool.
    package init(fileSystem: any FileSystem, directories: StoreDirectories) {
        self.fileSystem = fileSystem
        self.directories = directories
    }

    /// Total size of the spare files in bytes.
    package var bytes: Int { spares.withLock { $0.reduce(0) { $0 + $1.bytes } } }
    package var count: Int { spares.withLock { $0.count } }

    /// Turns a segment that no manifest references into a spare file: step D4. Where that is not
    /// possible, removes it.
    ///
    /// - Parameters:
    ///   - name: The segment.
    ///   - bytes: Size of its file in bytes.
    /// - Throws: The error of unlink(2).
    package func add(_ name: SegmentName, bytes: Int) throws(FileSystemError) {
        let spare = Spare(path: directories.staging.appending("\(name).spare"), bytes: bytes)
        do throws(FileSystemError) {
            try fileSystem.link(directories.path(of: name), to: spare.path)
        } catch {
            // A new name may need a block, which a full disk does not have.
            return try fileSystem.remove(directories.path(of: name))
        }
        try fileSystem.remove(directories.path(of: name))
        spares.withLock { $0.append(spare) }
    }

    /// Takes a spare file out of the pool and opens it exclusively for overwriting. A file that is
    /// still being read is skipped and removed.
    ///
    /// - Parameter staged: Path in `staging/` that the file gets.
    /// - Returns: The open file, which may be longer than the new segment, and its size; nil if
    ///   there is no usable spare file.
    package func take(as staged: FilePath) -> (file: any WritableFile, bytes: Int)? {
        while let spare = spares.withLock({ $0.popLast() }) {
            if let file = reopen(spare, as: staged) { return (file, spare.bytes) }
        }
        return nil
    }

    private func reopen(_ spare: Spare, as staged: FilePath) -> (any WritableFile)? {
        // If this fails, the next recovery removes the spare name.
        defer { try? fileSystem.remove(spare.path) }
        do throws(FileSystemError) {
            // A file with a second name is in use as a copy: in quarantine, or made by linking
            // instead of copying.
            guard try fileSystem.identity(of: spare.path)?.names == 1 else { return nil }
            guard let file = try fileSystem.reopen(spare.path) else { return nil }
            do throws(FileSystemError) { try fileSystem.link(spare.path, to: staged) } catch {
                file.close()
                throw error
            }
            return file
        } catch {
            // The caller creates a new file instead.
            return nil
        }
    }

    /// Removes the oldest spare files until at most `count` are left.
    package func shrink(to count: Int) {
        while let spare = spares.withLock({ $0.count > count ? $0.removeFirst() : nil }) {
            // If this fails, the next recovery removes the file.
            try? fileSystem.remove(spare.path)
        }
    }
}
