internal import CheckpointFormat
internal import CheckpointIO
internal import SystemPackage

/// Names under which outputs are written before they are published: `.ckpt-` and 32 digits.
///
/// A killed process leaves such a file or directory; its claim ends with the process.
enum TemporaryName {
    private static let prefix = ".ckpt-"

    static func random() -> String { prefix + CheckpointID.random().description }

    /// Removes leftovers of killed processes from a directory. Errors are ignored: the directory
    /// belongs to the user, and the output can still be written.
    ///
    /// - Parameters:
    ///   - directory: the directory of an output.
    ///   - files: the file system.
    static func removeLeavings(in directory: FilePath, _ files: POSIXFileSystem) {
        // A directory that cannot be listed is not cleaned.
        for name in (try? files.list(directory)) ?? [] where isTemporary(name) {
            let path = directory.appending(name)
            // If it cannot be claimed, it may be the output of another process.
            guard let claim = files.claim(path) else { continue }
            withExtendedLifetime(claim) { remove(path, files) }
        }
    }

    /// Removes a file, or a directory of files. Errors are ignored, and leave it to the next
    /// output.
    static func remove(_ path: FilePath, _ files: POSIXFileSystem) {
        // Fails if it is a file.
        for name in (try? files.list(path)) ?? [] {
            // The directory then stays.
            try? files.remove(path.appending(name))
        }
        // One of the two fails.
        try? files.remove(path)
        // The other fails.
        try? files.removeDirectory(path)
    }

    private static func isTemporary(_ name: String) -> Bool {
        name.hasPrefix(prefix) && CheckpointID(String(name.dropFirst(prefix.count))) != nil
    }
}
