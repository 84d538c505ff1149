internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage

/// The right to change a mirror, which a process that removes its checkpoints takes, too.
enum MirrorLock {
    /// That of a directory.
    case file(StoreDirectories)
    /// That of a bucket.
    case objects(ObjectLocks, place: String)

    /// The paths of the mirror; nil if it is a bucket.
    var directories: StoreDirectories? {
        guard case .file(let directories) = self else { return nil }
        return directories
    }

    /// Takes the lock without waiting.
    ///
    /// - Returns: the lock, held until it is released; nil if another process has it.
    /// - Throws: codes `io`, `readOnly`.
    func take() throws(CheckpointError) -> (any FileLock)? {
        switch self {
        case .file(let directories):
            return try translating("locking the mirror") { () throws(FileSystemError) in
                try POSIXFileSystem().lockAndRecord(directories.maintenanceLock)
            }
        case .objects(let locks, let place):
            do throws(ObjectStoreError) {
                return try locks.take("maintenance.lock", .exclusive)
            } catch { throw CheckpointError(error, in: place) }
        }
    }

    /// Checks, before a checkpoint is made visible, that the lock still counts.
    ///
    /// - Throws: code `timedOut`.
    func check() throws(CheckpointError) {
        guard case .objects(let locks, let place) = self, !locks.areTrusted else { return }
        throw CheckpointError(
            .timedOut, "the lock on \(place) expired: it was not renewed in time",
            remedy: "Run the same command again: nothing is sent twice")
    }
}
