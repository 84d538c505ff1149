internal import CheckpointIO
internal import SystemPackage

/// Bytes in memory, as the content of an object.
final class MemoryFile: ReadableFile {
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var size: Int { bytes.count }

    func read(into memory: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileSystemError) {
        guard offset >= 0, offset + memory.count <= bytes.count else {
            throw FileSystemError("read", "", .outOfRange)
        }
        unsafe memory.copyBytes(from: bytes[offset..<(offset + memory.count)])
    }
}
