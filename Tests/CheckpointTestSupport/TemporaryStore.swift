package import CheckpointIO
package import CheckpointSegments
internal import Foundation
package import SystemPackage

/// The directories of a store in a temporary place, removed with the object.
package final class TemporaryStore: Sendable {
    package let directories: StoreDirectories
    package let fileSystem = POSIXFileSystem()

    package init() throws {
        let name = "ckpt-test-\(UUID().uuidString)"
        directories = StoreDirectories(root: FilePath(FileManager.default.temporaryDirectory.path).appending(name))
        for path in [directories.root, directories.manifests, directories.segments, directories.staging] {
            try fileSystem.makeDirectory(path)
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: directories.root.string) }

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
