package import CheckpointIO
package import SystemPackage

/// File system that counts the files opened for reading, the bytes read, and the listings, by the
/// name of the directory.
package final class CountingFileSystem<Base: FileSystem>: FileSystem {
    private let base: Base
    private let counts = Monitor<(opened: [String: Int], listed: [String: Int])>(([:], [:]), rank: .unchecked)
    private let readBytes = Monitor<[String: Int]>([:], rank: .unchecked)

    package init(_ base: Base) { self.base = base }

    private static func directory(_ path: FilePath) -> String { path.removingLastComponent().lastComponent?.string ?? "" }

    /// Returns the number of files of a directory that were opened since the previous call.
    ///
    /// - Parameter directory: name of the directory, without its parents.
    package func takeOpened(_ directory: String) -> Int { counts.withLock { $0.opened.removeValue(forKey: directory) ?? 0 } }

    /// Returns the number of listings of a directory since the previous call.
    ///
    /// - Parameter directory: name of the directory, without its parents.
    package func takeListed(_ directory: String) -> Int { counts.withLock { $0.listed.removeValue(forKey: directory) ?? 0 } }

    /// Returns the number of bytes that were read from files of a directory since the previous
    /// call.
    ///
    /// - Parameter directory: name of the directory, without its parents.
    package func takeReadBytes(_ directory: String) -> Int {
        readBytes.withLock { $0.removeValue(forKey: directory) ?? 0 }
    }

    package func open(_ path: FilePath) throws(FileSystemError) -> any ReadableFile {
        let directory = Self.directory(path)
        counts.withLock { $0.opened[directory, default: 0] += 1 }
        return CountedFile(try base.open(path)) { [readBytes] count in
            readBytes.withLock { $0[directory, default: 0] += count }
        }
    }

    package func list(_ directory: FilePath) throws(FileSystemError) -> [String] {
        counts.withLock { $0.listed[directory.lastComponent?.string ?? "", default: 0] += 1 }
        return try base.list(directory)
    }

    package func create(_ path: FilePath) throws(FileSystemError) -> any WritableFile { try base.create(path) }
    package func reopen(_ path: FilePath) throws(FileSystemError) -> (any WritableFile)? { try base.reopen(path) }
    package func kind(of path: FilePath) throws(FileSystemError) -> FileKind? { try base.kind(of: path) }
    package func identity(of path: FilePath) throws(FileSystemError) -> FileIdentity? { try base.identity(of: path) }
    package func resolved(_ path: FilePath) throws(FileSystemError) -> FilePath { try base.resolved(path) }
    package func makeDirectory(_ path: FilePath) throws(FileSystemError) { try base.makeDirectory(path) }
    package func link(_ existing: FilePath, to new: FilePath) throws(FileSystemError) { try base.link(existing, to: new) }
    package func replace(_ new: FilePath, with existing: FilePath) throws(FileSystemError) { try base.replace(new, with: existing) }
    package func remove(_ path: FilePath) throws(FileSystemError) { try base.remove(path) }
    package func removeDirectory(_ path: FilePath) throws(FileSystemError) { try base.removeDirectory(path) }
    package func syncDirectory(_ path: FilePath) throws(FileSystemError) { try base.syncDirectory(path) }
    package func lock(_ path: FilePath) throws(FileSystemError) -> (any FileLock)? { try base.lock(path) }
    package func record(inLock path: FilePath) -> [UInt8]? { base.record(inLock: path) }
    package func availableBytes(at path: FilePath) throws(FileSystemError) -> Int { try base.availableBytes(at: path) }
}

/// A file that reports what is read from it.
private final class CountedFile: ReadableFile {
    private let base: any ReadableFile
    private let onRead: @Sendable (Int) -> Void
    var size: Int { base.size }

    init(_ base: any ReadableFile, _ onRead: @escaping @Sendable (Int) -> Void) {
        (self.base, self.onRead) = (base, onRead)
    }

    func read(
        into bytes: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(FileSystemError) {
        onRead(bytes.count)
        unsafe try base.read(into: bytes, at: offset)
    }
}
