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
    private let isRecorded: Bool

    /// Takes the lock without waiting.
    ///
    /// - Parameters:
    ///   - fileSystem: the file system.
    ///   - directories: paths of the store.
    ///   - isRecorded: whether this process is recorded as the holder while it has the lock. Not
    ///     worth it for the moments that a save takes it.
    /// - Returns: nil if another process, or another object of this one, has the lock.
    /// - Throws: the error of the system call.
    package init?(
        _ fileSystem: any FileSystem, _ directories: StoreDirectories, isRecorded: Bool = false
    ) throws(FileSystemError) {
        let path = directories.maintenanceLock
        let lock = isRecorded ? try fileSystem.lockAndRecord(path) : try fileSystem.lock(path)
        guard let lock else { return nil }
        self.lock = lock
        self.isRecorded = isRecorded
        self.fileSystem = fileSystem
        self.directories = directories
    }

    deinit {
        // A later holder may not record itself, and must not be confused with this one.
        if isRecorded { try? lock.record([]) }
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
    /// Written over in place, because that needs no free space.
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
        try file.sync()
        return true
    }
}
