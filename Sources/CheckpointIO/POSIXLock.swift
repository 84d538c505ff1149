internal import CPlatform

/// A lock of flock(2) that ends with this process, also if the process has children.
final class POSIXLock: FileLock {
    private let file: POSIXFile
    private let descriptor: Int32

    /// Takes over the descriptor of a file that is locked.
    init(_ file: POSIXFile, descriptor: Int32) {
        self.file = file
        self.descriptor = descriptor
        cp_file_lock_begin(descriptor)
    }

    deinit { cp_file_lock_end(descriptor) }

    func record(_ bytes: [UInt8]) throws(FileSystemError) { try file.record(bytes) }
}
