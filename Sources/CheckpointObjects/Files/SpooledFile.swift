internal import CheckpointIO

/// A file on this machine that becomes an object. It is lost with this machine in any case, so
/// `sync` does nothing.
final class SpooledFile: WritableFile {
    private let file: any WritableFile

    init(_ file: any WritableFile) { self.file = file }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError) {
        unsafe try file.write(bytes, at: offset)
    }
    func truncate(to count: Int) throws(FileSystemError) { try file.truncate(to: count) }
    func sync() {}
    func close() { file.close() }
}
