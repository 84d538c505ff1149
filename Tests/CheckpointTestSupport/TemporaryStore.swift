package import CheckpointIO
package import CheckpointSegments
package import SystemPackage

/// The directories of a store in a temporary place, removed with the object.
package final class TemporaryStore: Sendable {
    package let directories: StoreDirectories
    package let fileSystem = POSIXFileSystem()
    private let directory: TemporaryDirectory

    package init() throws {
        directory = try TemporaryDirectory()
        directories = StoreDirectories(root: FilePath(directory.path))
        for path in [directories.manifests, directories.segments, directories.staging] {
            try fileSystem.makeDirectory(path)
        }
    }

    /// Writes a file with exactly these bytes, durably.
    ///
    /// - Parameters:
    ///   - bytes: content of the file.
    ///   - path: a path that does not exist.
    /// - Throws: `FileSystemError` if writing fails.
    package func put(_ bytes: [UInt8], at path: FilePath) throws { try fileSystem.createDurably(path, bytes) }

    package func contents(of path: FilePath) throws -> [UInt8] {
        try fileSystem.contents(of: path, atMost: .max) ?? []
    }

    /// Returns the sorted names in `staging/` and `segments/`.
    ///
    /// - Throws: `FileSystemError` if a directory cannot be listed.
    package func leftovers() throws -> [String] {
        try (fileSystem.list(directories.staging) + fileSystem.list(directories.segments)).sorted()
    }
}
