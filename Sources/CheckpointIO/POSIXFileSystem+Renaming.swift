internal import CPlatform
internal import Glibc
package import SystemPackage

/// Operations for the tools that write files outside a store. A store does not use them.
extension POSIXFileSystem {
    /// Returns true if the name is that of a symbolic link, even a dangling one (lstat(2)); false
    /// if it does not exist.
    ///
    /// - Parameter path: The name.
    /// - Throws: The error of the system call.
    package func isLink(_ path: FilePath) throws(FileSystemError) -> Bool {
        var status = stat()
        do {
            _ = try SystemCall.check("lstat", path) {
                unsafe path.withPlatformString { unsafe lstat($0, &status) }
            }
        } catch {
            guard error.errno == .noSuchFileOrDirectory || error.errno == .notDirectory else {
                throw error
            }
            return false
        }
        return status.st_mode & S_IFMT == S_IFLNK
    }

    /// Renames a file or directory (rename(2)). An existing file with the new name is replaced.
    ///
    /// - Parameters:
    ///   - old: The present name.
    ///   - new: The new name.
    /// - Throws: The error of the system call.
    package func rename(_ old: FilePath, to new: FilePath) throws(FileSystemError) {
        _ = try SystemCall.check("rename", new) {
            unsafe old.withPlatformString { from in
                unsafe new.withPlatformString { unsafe Glibc.rename(from, $0) }
            }
        }
    }

    /// Renames a file, unless the new name exists (renameat2(2), RENAME_NOREPLACE).
    ///
    /// On a file system that cannot do that in one step, the file is linked; on one that has no hard
    /// links either, the new name is looked for first, and another process that makes it at the same
    /// moment loses its file.
    ///
    /// - Parameters:
    ///   - old: The present name.
    ///   - new: The new name.
    /// - Throws: `.fileExists` if the new name exists; otherwise the error of the system call.
    package func renameToNew(_ old: FilePath, to new: FilePath) throws(FileSystemError) {
        let result = unsafe old.withPlatformString { from in
            unsafe new.withPlatformString { unsafe cp_rename_new(from, $0) }
        }
        if result == 0 { return }
        let failure = Errno(rawValue: errno)
        guard failure == .invalidArgument || failure == .noFunction else {
            throw FileSystemError("renameat2(2)", new, failure)
        }
        do throws(FileSystemError) {
            try link(old, to: new)
            return try remove(old)
        } catch {
            guard
                [.notPermitted, .noFunction, .notSupported, .notSupportedOnSocket].contains(
                    error.errno)
            else { throw error }
        }
        guard try kind(of: new) == nil else { throw FileSystemError("rename(2)", new, .fileExists) }
        try rename(old, to: new)
    }

    /// Exchanges two existing names in one step (renameat2(2), RENAME_EXCHANGE).
    ///
    /// - Parameters:
    ///   - one: A name.
    ///   - other: The other name, on the same file system.
    /// - Returns: False if the file system or the kernel cannot do that; nothing is changed then.
    /// - Throws: The error of the system call.
    package func exchange(_ one: FilePath, with other: FilePath) throws(FileSystemError) -> Bool {
        let result = unsafe one.withPlatformString { from in
            unsafe other.withPlatformString { unsafe cp_rename_exchange(from, $0) }
        }
        if result == 0 { return true }
        let failure = Errno(rawValue: errno)
        guard failure == .invalidArgument || failure == .noFunction else {
            throw FileSystemError("renameat2(2)", other, failure)
        }
        return false
    }

    /// Removes an empty directory (rmdir(2)).
    ///
    /// - Parameter path: The directory.
    /// - Throws: `.directoryNotEmpty` if it is not empty; otherwise the error of the system call.
    package func removeDirectory(_ path: FilePath) throws(FileSystemError) {
        _ = try SystemCall.check("rmdir", path) {
            unsafe path.withPlatformString { unsafe rmdir($0) }
        }
    }
}
