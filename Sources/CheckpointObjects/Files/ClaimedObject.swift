internal import CheckpointIO
internal import SystemPackage

/// The exclusive right to remove or replace an object, until it is closed. An object cannot be
/// written over in part.
@safe
final class ClaimedObject: WritableFile {
    private let path: FilePath
    private let lock: Monitor<ObjectLocks.Lock?>

    init(_ path: FilePath, _ lock: ObjectLocks.Lock) {
        self.path = path
        self.lock = Monitor(lock)
    }

    private var unsupported: FileSystemError {
        FileSystemError(
            "PUT", path, .notSupported, detail: "an object cannot be overwritten in part")
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError) {
        throw unsupported
    }
    func truncate(to count: Int) throws(FileSystemError) { throw unsupported }
    func sync() {}

    func close() {
        // Released, with a request, after the monitor's own lock.
        let released = lock.withLock { lock in
            defer { lock = nil }
            return lock
        }
        withExtendedLifetime(released) {}
    }
}
