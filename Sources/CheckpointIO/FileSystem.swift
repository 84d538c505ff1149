package import SystemPackage

/// The few things a store asks of a file system. Each verb does one thing, durably only where it says so
/// (Formats/durability.md, Assumptions). Implementations: POSIX, in memory, and decorators that record or inject faults.
package protocol FileSystem: Sendable {
    /// Creates a file that must not exist yet, for writing.
    func create(_ path: FilePath) throws(FileSystemError) -> any WritableFile

    /// Opens a file to be written over, for this writer alone: as long as it is open, nobody can open it for reading. Nil if somebody reads
    /// it now, or the file system cannot tell.
    func reopen(_ path: FilePath) throws(FileSystemError) -> (any WritableFile)?

    /// Opens a regular file for reading. One that is being written over is as good as gone: `.noSuchFileOrDirectory`.
    func open(_ path: FilePath) throws(FileSystemError) -> any ReadableFile

    /// Names of a directory's entries, in no particular order, without `.` and `..`.
    func list(_ directory: FilePath) throws(FileSystemError) -> [String]

    /// What is at `path`, or nil if nothing is.
    func kind(of path: FilePath) throws(FileSystemError) -> FileKind?

    /// Which file has this name, or nil if none has. A symbolic link is a file of its own, wherever it leads.
    func identity(of path: FilePath) throws(FileSystemError) -> FileIdentity?

    /// Makes one directory; succeeds if it is there already.
    func makeDirectory(_ path: FilePath) throws(FileSystemError)

    /// Gives a file a second name; fails with `.fileExists` if that name is taken.
    func link(_ existing: FilePath, to new: FilePath) throws(FileSystemError)

    /// Gives a file another name instead of its own, at once and in place of whatever had that name.
    func replace(_ new: FilePath, with existing: FilePath) throws(FileSystemError)

    /// Removes a file's name.
    func remove(_ path: FilePath) throws(FileSystemError)

    /// Makes the entries of a directory durable.
    func syncDirectory(_ path: FilePath) throws(FileSystemError)

    /// Takes the exclusive lock on a file, which is made if it is missing, without waiting; nil if another process holds it.
    func lock(_ path: FilePath) throws(FileSystemError) -> (any FileLock)?

    /// Bytes that this process may still write to the file system of `path`.
    func availableBytes(at path: FilePath) throws(FileSystemError) -> Int
}

package enum FileKind: Sendable, Equatable {
    case file
    case directory
    case other
}

/// A file, whatever it is called.
package struct FileIdentity: Sendable {
    package var device: UInt64
    package var number: UInt64
    /// How many names it has.
    package var names: Int

    package init(device: UInt64, number: UInt64, names: Int) {
        self.device = device
        self.number = number
        self.names = names
    }

    package func isSame(as other: FileIdentity) -> Bool { device == other.device && number == other.number }
}

package protocol WritableFile: AnyObject, Sendable {
    /// Writes all bytes at `offset`. Threads may write disjoint ranges at the same time.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError)

    /// Cuts the file, or extends it with zeros, to `count` bytes.
    func truncate(to count: Int) throws(FileSystemError)

    /// Makes the bytes durable. After an error the file must be abandoned.
    func sync() throws(FileSystemError)

    func close()
}

package protocol ReadableFile: AnyObject, Sendable {
    /// Size in bytes, when it was opened.
    var size: Int { get }

    /// Fills `bytes` from `offset`; fails with `.ioError`'s sibling `.outOfRange` if the file ends before.
    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileSystemError)
}

/// Held as long as the object lives.
package protocol FileLock: AnyObject, Sendable {}

extension FileSystem {
    /// Names of a directory's entries; none if there is no such directory.
    package func listIfThere(_ directory: FilePath) throws(FileSystemError) -> [String] {
        do { return try list(directory) } catch {
            guard error.errno == .noSuchFileOrDirectory else { throw error }
            return []
        }
    }

    /// Removes a file's name, unless somebody has done so already.
    package func removeIfThere(_ path: FilePath) throws(FileSystemError) {
        do { try remove(path) } catch { guard error.errno == .noSuchFileOrDirectory else { throw error } }
    }
}

extension WritableFile {
    package func write(_ bytes: [UInt8], at offset: Int) throws(FileSystemError) {
        let result = unsafe bytes.withUnsafeBytes { bytes -> Result<Void, FileSystemError> in
            do throws(FileSystemError) {
                unsafe try write(bytes, at: offset)
                return .success(())
            } catch { return .failure(error) }
        }
        try result.get()
    }
}

extension ReadableFile {
    package func read(count: Int, at offset: Int) throws(FileSystemError) -> [UInt8] {
        var failure: FileSystemError?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            do throws(FileSystemError) {
                unsafe try read(into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]), at: offset)
                initialized = count
            } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }
}

extension FileSystem {
    /// The whole of a file that is no larger than `limit`, or nil if it is larger.
    package func contents(of path: FilePath, atMost limit: Int) throws(FileSystemError) -> [UInt8]? {
        let file = try open(path)
        guard file.size <= limit else { return nil }
        return try file.read(count: file.size, at: 0)
    }

    /// Creates a file with these bytes and makes them durable; the directory is the caller's affair.
    package func createDurably(_ path: FilePath, _ bytes: [UInt8]) throws(FileSystemError) {
        let file = try create(path)
        defer { file.close() }
        try file.write(bytes, at: 0)
        try file.sync()
    }
}
