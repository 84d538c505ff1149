internal import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
internal import SystemPackage

/// The right to remove and to replace manifests, which one process has at a time, be it the writer or not (Formats/durability.md,
/// Maintenance).
package final class MaintenanceLock: Sendable {
    private let fileSystem: any FileSystem
    private let directories: StoreDirectories
    private let lock: any FileLock

    /// Nil if another process has it, or this one elsewhere.
    package init?(_ fileSystem: any FileSystem, _ directories: StoreDirectories) throws(FileSystemError) {
        guard let lock = try fileSystem.lock(directories.maintenanceLock) else { return nil }
        self.lock = lock
        self.fileSystem = fileSystem
        self.directories = directories
    }

    /// Changes whenever somebody but the writer has removed or replaced manifests; nil if that has never happened.
    package func generation() throws(FileSystemError) -> [UInt8]? {
        do { return try fileSystem.contents(of: directories.generation, atMost: 4096) } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw error
        }
    }

    /// Tells the writer that what it knows of manifests is out of date. Called before the first change.
    package func changeGeneration() throws(FileSystemError) {
        let staged = directories.staging.appending("\(CheckpointID.random()).generation")
        try fileSystem.createDurably(staged, Array("\(CheckpointID.random())\n".utf8))
        try fileSystem.replace(directories.generation, with: staged)
    }
}
