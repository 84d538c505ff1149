package import SystemPackage

/// The operations that a store needs from a file system. Each does one thing, and makes it durable
/// only if its comment says so (Formats/durability.md, Assumptions). Implementations: POSIX, in
/// memory, and decorators that record calls or inject faults.
package protocol FileSystem: Sendable {
    /// Creates a file for writing (open(2) with O_EXCL).
    ///
    /// - Parameter path: The new file; must not exist yet.
    /// - Returns: The open, empty file.
    /// - Throws: `.fileExists` if the path exists; otherwise the error of the system call.
    func create(_ path: FilePath) throws(FileSystemError) -> any WritableFile

    /// Opens an existing file to be overwritten, exclusively: it cannot be opened for reading until
    /// it is closed.
    ///
    /// - Parameter path: The file.
    /// - Returns: The open file; nil if it is open for reading, or if the file system does not
    ///   support locks.
    /// - Throws: The error of the system call.
    func reopen(_ path: FilePath) throws(FileSystemError) -> (any WritableFile)?

    /// Opens a regular file for reading.
    ///
    /// - Parameter path: The file.
    /// - Returns: The open file. `reopen` cannot open it until this object is released.
    /// - Throws: `.noSuchFileOrDirectory` if there is no such file, and also if it is being
    ///   overwritten, because its old content is lost; `.notSupported` if it is not a regular file.
    func open(_ path: FilePath) throws(FileSystemError) -> any ReadableFile

    /// Opens a file, and keeps every process on any machine from removing or replacing it: those
    /// that do so call `reopen` first.
    ///
    /// The caller checks afterwards that the file is still what it takes it for.
    ///
    /// - Parameter path: The file.
    /// - Returns: The open file, held until this object is released.
    /// - Throws: As `open`; also if somebody is removing or replacing it.
    func hold(_ path: FilePath) throws(FileSystemError) -> any ReadableFile

    /// Returns the names of a directory's entries in no particular order, without `.` and `..`.
    ///
    /// - Throws: `.noSuchFileOrDirectory` if there is no such directory; otherwise the error of the
    ///   system call.
    func list(_ directory: FilePath) throws(FileSystemError) -> [String]

    /// Returns the kind of the file at `path`, or nil if it does not exist. Follows symbolic links.
    ///
    /// - Throws: The error of the system call.
    func kind(of path: FilePath) throws(FileSystemError) -> FileKind?

    /// Returns the identity of the file with this name, or nil if it does not exist. A symbolic
    /// link is not followed; it has its own identity.
    func identity(of path: FilePath) throws(FileSystemError) -> FileIdentity?

    /// Creates one directory. Succeeds if the directory exists; does not create its parents.
    ///
    /// - Throws: `.fileExists` if something else has this name; otherwise the error of the system
    ///   call.
    func makeDirectory(_ path: FilePath) throws(FileSystemError)

    /// Gives a file an additional name (link(2)).
    ///
    /// - Parameters:
    ///   - existing: The file.
    ///   - new: The additional name.
    /// - Throws: `.fileExists` if `new` exists.
    func link(_ existing: FilePath, to new: FilePath) throws(FileSystemError)

    /// Renames a file or directory atomically (rename(2)).
    ///
    /// - Parameters:
    ///   - new: The new name. An existing file with this name is replaced.
    ///   - existing: The file or directory.
    func replace(_ new: FilePath, with existing: FilePath) throws(FileSystemError)

    /// Removes a name of a file (unlink(2)). The file's bytes are freed with its last name.
    ///
    /// - Throws: The error of the system call.
    func remove(_ path: FilePath) throws(FileSystemError)

    /// Removes an empty directory (rmdir(2)).
    ///
    /// - Throws: The error of the system call, also if the directory is not empty.
    func removeDirectory(_ path: FilePath) throws(FileSystemError)

    /// Makes the entries of a directory durable (fsync(2)).
    ///
    /// - Throws: The error of the system call.
    func syncDirectory(_ path: FilePath) throws(FileSystemError)

    /// Returns the path of a directory without symbolic links, from the root of the file system.
    ///
    /// - Parameter path: The directory, which must exist.
    /// - Throws: The error of the system call.
    func resolved(_ path: FilePath) throws(FileSystemError) -> FilePath

    /// Makes the names of a directory and of those above it durable, also if another process has
    /// made them: it may have been killed, or be a script that does not sync.
    ///
    /// Ends at another file system, and at a directory that this user cannot read and so has not
    /// made.
    ///
    /// - Parameter path: The directory, which must exist.
    /// - Throws: The error of the system call.
    func syncName(of path: FilePath) throws(FileSystemError)

    /// Whether the writer's lock excludes every other writer; false if it excludes those of this
    /// machine alone. Then files that nothing names may belong to a save on another machine.
    var excludesOtherWriters: Bool { get }

    /// Returns the names in a directory of files that were written at least so long ago, by the
    /// clock of the place. For places that do not exclude other writers.
    ///
    /// - Parameters:
    ///   - directory: The directory.
    ///   - age: The least age. A file whose age is unknown is left out.
    func list(
        _ directory: FilePath, olderThan age: Duration
    ) throws(FileSystemError) -> [String]

    /// Name of the way in which the place of the files shows that it has received what was sent
    /// (Formats/manifest.md, `transfer_check`); nil where files are not sent anywhere.
    var transferCheck: String? { get }

    /// Takes the exclusive lock on a file without waiting (flock(2)).
    ///
    /// - Parameter path: The lock file; created if it is missing.
    /// - Returns: The lock, which is held until this object is released; nil if another process
    ///   holds it.
    /// - Throws: The error of the system call.
    func lock(_ path: FilePath) throws(FileSystemError) -> (any FileLock)?

    /// Returns what the holder of a lock has recorded about itself; nil if that cannot be read.
    ///
    /// - Parameter path: The lock file. No lock is taken.
    func record(inLock path: FilePath) -> [UInt8]?

    /// Returns the number of bytes that this process may still write to the file system of `path`.
    ///
    /// - Throws: The error of the system call.
    func availableBytes(at path: FilePath) throws(FileSystemError) -> Int
}

extension FileSystem {
    package var excludesOtherWriters: Bool { true }
    package var transferCheck: String? { nil }

    package func list(
        _ directory: FilePath, olderThan age: Duration
    ) throws(FileSystemError) -> [String] {
        throw FileSystemError("list", directory, .notSupported)
    }

    /// Makes the entries of a directory durable; succeeds if it does not exist.
    ///
    /// - Throws: The error of the system call.
    package func syncDirectoryIfThere(_ path: FilePath) throws(FileSystemError) {
        do { try syncDirectory(path) } catch {
            guard error.errno == .noSuchFileOrDirectory else { throw error }
        }
    }

    /// A file system without symbolic links.
    package func resolved(_ path: FilePath) throws(FileSystemError) -> FilePath {
        path.lexicallyNormalized()
    }

    package func syncName(of path: FilePath) throws(FileSystemError) {
        // Where a link leads to, or else, below a directory that this user cannot read, the path.
        var path = (try? resolved(path)) ?? path.lexicallyNormalized()
        let device = try identity(of: path)?.device
        while case let parent = path.removingLastComponent(), parent != path {
            let parent = parent.isEmpty && !path.isAbsolute ? "." : parent
            guard parent != path, try identity(of: parent)?.device == device else { return }
            do throws(FileSystemError) { try syncDirectory(parent) } catch
            where error.errno == .permissionDenied { return }
            path = parent
        }
    }

    /// Opens the file: its lock is taken by every open file.
    package func hold(_ path: FilePath) throws(FileSystemError) -> any ReadableFile {
        try open(path)
    }

    /// Returns the names of a directory's entries, or an empty list if the directory does not
    /// exist.
    ///
    /// - Parameter directory: The directory.
    /// - Throws: The error of the system call.
    package func listIfThere(_ directory: FilePath) throws(FileSystemError) -> [String] {
        do { return try list(directory) } catch {
            guard error.errno == .noSuchFileOrDirectory else { throw error }
            return []
        }
    }

    /// Removes a name of a file; succeeds if it does not exist.
    ///
    /// - Parameter path: The name.
    /// - Throws: The error of the system call.
    package func removeIfThere(_ path: FilePath) throws(FileSystemError) {
        do { try remove(path) } catch { guard error.errno == .noSuchFileOrDirectory else { throw error } }
    }
}

extension FileSystem {
    /// Reads a complete file.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - limit: Maximum size in bytes.
    /// - Returns: The content; nil if the file is larger than `limit`.
    /// - Throws: The error of the system call.
    package func contents(of path: FilePath, atMost limit: Int) throws(FileSystemError) -> [UInt8]? {
        let file = try open(path)
        guard file.size <= limit else { return nil }
        return try file.read(count: file.size, at: 0)
    }

    /// Creates a file with these bytes and makes the bytes durable. The name is not durable until
    /// the caller syncs the directory.
    ///
    /// - Throws: `.fileExists` if `path` exists; otherwise the error of the system call. The file
    ///   may be left behind, incomplete.
    package func createDurably(_ path: FilePath, _ bytes: [UInt8]) throws(FileSystemError) {
        let file = try create(path)
        defer { file.close() }
        try file.write(bytes, at: 0)
        try file.sync()
    }
}
