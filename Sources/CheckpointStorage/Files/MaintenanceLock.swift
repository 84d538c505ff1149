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
        guard let lock = try fileSystem.lockAndRecord(directories.maintenanceLock) else { return nil }
        self.lock = lock
        self.fileSystem = fileSystem
        self.directories = directories
    }

    /// The content of `generation` in a new store.
    package static let firstGeneration = Array("\(String(repeating: "0", count: 32))\n".utf8)

    /// Returns the line in `generation`, which changes whenever a process other than the writer
    /// removes or replaces manifests; nil if that has never happened.
    package func generation() throws(FileSystemError) -> [UInt8]? {
        do {
            let line = try fileSystem.contents(of: directories.generation, atMost: 4096)
            return line == Self.firstGeneration || line?.isEmpty == true ? nil : line
        } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw error
        }
    }

    /// Writes a new random line into `generation`. Call it before the first change: it makes the
    /// writer read the manifests again before it removes anything.
    ///
    /// Written over in place, because that needs no free space. It need not be durable: after a
    /// crash there is no writer that knows the old line.
    package func changeGeneration() throws(FileSystemError) {
        if try overwriteGeneration() { return }
        let staged = directories.staging.appending("\(CheckpointID.random()).generation")
        try fileSystem.createDurably(staged, Array("\(CheckpointID.random())\n".utf8))
        try fileSystem.replace(directories.generation, with: staged)
    }

    /// - Returns: false if there is no such file yet, or if it is being read.
    private func overwriteGeneration() throws(FileSystemError) -> Bool {
        guard try fileSystem.kind(of: directories.generation) == .file,
            let file = try fileSystem.reopen(directories.generation)
        else { return false }
        defer { file.close() }
        try file.write(Array("\(CheckpointID.random())\n".utf8), at: 0)
        return true
    }
}
