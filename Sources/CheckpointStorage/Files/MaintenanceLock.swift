internal import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
internal import SystemPackage

/// The exclusive right to remove and replace manifests. One process has it at a time, the writer or
/// another (Formats/durability.md, Maintenance).
///
/// It is an exclusive `flock()` on `maintenance.lock`, held until this object is released.
package final class MaintenanceLock: Sendable {
    private let fileSystem: any FileSystem
    private let directories: StoreDirectories
    private let lock: any FileLock

    /// Takes the lock without waiting.
    ///
    /// - Parameters:
    ///   - fileSystem: the file system.
    ///   - directories: paths of the store.
    /// - Returns: nil if another process, or another object of this one, has the lock.
    /// - Throws: the error of the system call.
    package init?(_ fileSystem: any FileSystem, _ directories: StoreDirectories) throws(FileSystemError) {
        guard let lock = try fileSystem.lock(directories.maintenanceLock) else { return nil }
        self.lock = lock
        self.fileSystem = fileSystem
        self.directories = directories
    }

    /// Returns the line in `generation`, which changes whenever a process other than the writer
    /// removes or replaces manifests; nil if that has never happened.
    package func generation() throws(FileSystemError) -> [UInt8]? {
        do { return try fileSystem.contents(of: directories.generation, atMost: 4096) } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw error
        }
    }

    /// Writes a new random line into `generation`. Call it before the first change: it makes the
    /// writer read the manifests again before it removes anything.
    package func changeGeneration() throws(FileSystemError) {
        let staged = directories.staging.appending("\(CheckpointID.random()).generation")
        try fileSystem.createDurably(staged, Array("\(CheckpointID.random())\n".utf8))
        try fileSystem.replace(directories.generation, with: staged)
    }
}
