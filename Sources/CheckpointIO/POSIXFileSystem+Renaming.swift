internal import Glibc
package import SystemPackage

/// What a store never does, and the tools that write files for others do.
extension POSIXFileSystem {
    /// Whether a name is that of a symbolic link, wherever it leads (lstat(2)); false if there is nothing.
    package func isLink(_ path: FilePath) throws(FileSystemError) -> Bool {
        var status = stat()
        do {
            _ = try SystemCall.check("lstat", path) { unsafe path.withPlatformString { unsafe lstat($0, &status) } }
        } catch {
            guard error.errno == .noSuchFileOrDirectory || error.errno == .notDirectory else { throw error }
            return false
        }
        return status.st_mode & S_IFMT == S_IFLNK
    }

    /// Gives a file or directory another name, in the place of whatever file has it (rename(2)).
    package func rename(_ old: FilePath, to new: FilePath) throws(FileSystemError) {
        _ = try SystemCall.check("rename", new) {
            unsafe old.withPlatformString { from in unsafe new.withPlatformString { unsafe Glibc.rename(from, $0) } }
        }
    }

    /// Removes an empty directory (rmdir(2)).
    package func removeDirectory(_ path: FilePath) throws(FileSystemError) {
        _ = try SystemCall.check("rmdir", path) { unsafe path.withPlatformString { unsafe rmdir($0) } }
    }
}
