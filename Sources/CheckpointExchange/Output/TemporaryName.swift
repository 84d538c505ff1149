internal import CheckpointFormat
internal import CheckpointIO
internal import SystemPackage

/// Names under which outputs are written before they get their own, `.ckpt-` and 32 digits.
///
/// A process that is killed leaves such a file or directory; its claim ends with it.
enum TemporaryName {
    private static let prefix = ".ckpt-"

    static func random() -> String { prefix + CheckpointID.random().description }

    /// Removes what killed processes have left in a directory. Errors are ignored: the directory is
    /// someone else's, and the output can be written all the same.
    ///
    /// - Parameters:
    ///   - directory: the directory of an output.
    ///   - files: the file system.
    static func removeLeavings(in directory: FilePath, _ files: POSIXFileSystem) {
        // A directory that cannot be listed is not cleaned.
        for name in (try? files.list(directory)) ?? [] where isTemporary(name) {
            let path = directory.appending(name)
            // Without a claim it is another process's output, or cannot be told from one.
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
