internal import CheckpointIO

/// An object that nobody removes while it is open.
@safe
final class HeldFile: ReadableFile {
    private let file: any ReadableFile
    private let lock: ObjectLocks.Lock

    init(_ file: any ReadableFile, _ lock: ObjectLocks.Lock) {
        (self.file, self.lock) = (file, lock)
    }

    var size: Int { file.size }

    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileSystemError) {
        unsafe try file.read(into: bytes, at: offset)
    }
}
