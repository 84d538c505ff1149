internal import CheckpointIO

/// A lock that excludes the processes of this machine and those of others.
final class BucketLock: FileLock {
    private let local: any FileLock
    private let remote: ObjectLocks.Lock

    init(_ local: any FileLock, _ remote: ObjectLocks.Lock) {
        (self.local, self.remote) = (local, remote)
    }

    func record(_ bytes: [UInt8]) throws(FileSystemError) { try local.record(bytes) }
}
