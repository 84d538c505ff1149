internal import CheckpointIO
internal import CheckpointStorage
internal import SystemPackage

/// The right to change a mirror, which a process that removes its checkpoints takes, too.
enum MirrorLock {
    /// The lock of a directory.
    case file(FilePath)
    /// That of a bucket.
    case objects(ObjectLocks, place: String)

    /// Takes the lock without waiting.
    ///
    /// - Returns: the lock, held until it is released; nil if another process has it.
    /// - Throws: codes `io`, `readOnly`.
    func take() throws(CheckpointError) -> (any FileLock)? {
        switch self {
        case .file(let path):
            return try translating("locking the mirror") { () throws(FileSystemError) in
                try POSIXFileSystem().lockAndRecord(path)
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
