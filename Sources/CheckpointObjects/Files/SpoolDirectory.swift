package import CheckpointIO
internal import Foundation
package import SystemPackage

/// A directory on this machine for the files of one process until they are objects. Made when it is
/// first needed, and removed with this object. What processes that were killed have left is removed
/// by the next one that makes such a directory.
package final class SpoolDirectory: Sendable {
    private struct Made {
        var path: FilePath
        var lock: any FileLock
    }

    private let parent: FilePath
    private let files = POSIXFileSystem(usesDirectIO: false)
    private let made = Monitor<Made?>(nil)

    private static let prefix = "process-"
    private static let lockName = "lock"

    /// Creates no directory yet.
    ///
    /// - Parameter parent: the directory in which it is made; created when needed.
    package init(in parent: FilePath) { self.parent = parent }

    deinit {
        if let made = made.withLock({ $0 }) { Self.remove(made.path) }
    }

    /// Returns the directory's path, and makes it if it was not. Any thread.
    ///
    /// The first call makes directories, takes a file lock and removes leftovers, all under the
    /// lock: others need the path before they can do anything. A trainer makes that call before its
    /// first save: when it opens the store, or when its checkpointer looks at the free space.
    ///
    /// - Throws: the error of the system call.
    package func path() throws(FileSystemError) -> FilePath {
        try made.withLock { made throws(FileSystemError) in
            if let made { return made.path }
            let new = try make()
            made = new
            try removeLeavings()
            return new.path
        }
    }

    private func make() throws(FileSystemError) -> Made {
        while true {
            let path = parent.appending(Self.prefix + UUID().uuidString.lowercased())
            let lockPath = path.appending(Self.lockName)
            try Self.makeDirectory(path)
            // Between its creation and its lock, another process may take it for a leaving, and the
            // lock fails.
            guard let lock = try? files.lock(lockPath) else {
                guard try files.kind(of: path) == nil else {
                    throw FileSystemError("flock(2)", lockPath, .noLocks)
                }
                continue
            }
            if try files.kind(of: lockPath) == .file { return Made(path: path, lock: lock) }
        }
    }

    /// Removes the directories of processes that have ended without removing them.
    private func removeLeavings() throws(FileSystemError) {
        for name in try files.list(parent) where name.hasPrefix(Self.prefix) {
            let path = parent.appending(name)
            // One that was just made has no lock file yet. What cannot be looked at stays.
            guard (try? files.kind(of: path.appending(Self.lockName))) == .file,
                // A directory whose lock cannot be taken stays, too.
                let lock = try? files.lock(path.appending(Self.lockName))
            else { continue }
            withExtendedLifetime(lock) { Self.remove(path) }
        }
    }

    /// Creates a directory with its parents, for this user alone.
    ///
    /// - Throws: EACCES and others, as the system gave it.
    package static func makeDirectory(_ path: FilePath) throws(FileSystemError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path.string, withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
        } catch {
            let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
            let errno = cause.map { Errno(rawValue: CInt(truncatingIfNeeded: $0.code)) }
            throw FileSystemError("mkdir(2)", path, errno ?? .ioError)
        }
    }

    private static func remove(_ path: FilePath) {
        // A directory that cannot be removed costs space and does no harm.
        try? FileManager.default.removeItem(atPath: path.string)
    }
}
