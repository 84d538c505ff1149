internal import CheckpointIO

/// An object that is read by ranges.
@safe
final class ObjectFile: ReadableFile {
    let size: Int
    private let fill:
        @Sendable (UnsafeMutableRawBufferPointer, Int) throws(FileSystemError) -> Void

    /// Creates a file.
    ///
    /// - Parameters:
    ///   - size: size in bytes.
    ///   - fill: fills memory from an offset on; any thread.
    init(
        size: Int,
        fill: @escaping @Sendable (UnsafeMutableRawBufferPointer, Int) throws(FileSystemError)
            -> Void
    ) {
        self.size = size
        unsafe self.fill = fill
    }

    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileSystemError) {
        unsafe try fill(bytes, offset)
    }
}
