internal import CheckpointIO

/// The file of a segment on this machine, which is uploaded while it is written. It is lost with
/// this machine in any case, so `sync` does nothing.
final class StreamedFile: WritableFile {
    private let file: any WritableFile
    private let stream: SegmentStream

    init(_ file: any WritableFile, _ stream: SegmentStream) {
        (self.file, self.stream) = (file, stream)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError) {
        try stream.willWrite(bytes.count)
        unsafe try file.write(bytes, at: offset)
        try stream.didWrite(offset..<offset + bytes.count)
    }

    func truncate(to count: Int) throws(FileSystemError) { try file.truncate(to: count) }
    func sync() {}
    func close() { file.close() }
}
