package import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO
package import SystemPackage

/// Reads blocks of one segment through the rows of a manifest, checking the stored hash and decoding.
package struct BlockReader: Sendable {
    package let path: FilePath
    private let file: any ReadableFile

    /// Opens the segment that a manifest names.
    package init(
        _ reference: SegmentReference, fileSystem: any FileSystem, directories: StoreDirectories
    ) throws(SegmentError) {
        path = directories.path(of: reference.name)
        let path = path
        file = try wrappingIO { () throws(FileSystemError) in try fileSystem.open(path) }
        guard file.size == reference.fileBytes else {
            throw .format(
                path, .damage(at: file.size, "the segment should have \(reference.fileBytes) bytes and has \(file.size)"))
        }
        try Self.checkHeader(file, reference.name, path)
    }

    /// A file that is being read while its checkpoint expires may come back as another segment: its header tells. A header that is damaged
    /// tells nothing, and costs nothing: every block has its hash.
    private static func checkHeader(
        _ file: any ReadableFile, _ name: SegmentName, _ path: FilePath
    ) throws(SegmentError) {
        let page = try wrappingIO { () throws(FileSystemError) in
            try file.read(count: min(Limits.pageBytes, file.size), at: 0)
        }
        guard let header = try? SegmentHeader(decoding: page[...], digest: Hashing.digest) else { return }  // as said above
        do throws(FormatError) { try header.check(isFor: name) } catch { throw .format(path, error) }
    }

    /// Fills `destination`, of exactly `rawBytes` bytes, with the block's raw bytes.
    /// - Parameters:
    ///   - base: of a delta, the raw bytes of the block that it is a delta of.
    ///   - scratch: holds the stored bytes of an encoded block; grows as needed.
    package func read(
        _ block: SegmentBlock, base: MemoryRegion? = nil, into destination: MemoryRegion, scratch: inout ScratchBuffer
    ) throws(SegmentError) {
        precondition(destination.count == block.rawBytes)
        guard block.codec != .raw else { return try readStored(block, into: destination) }
        let stored: MemoryRegion
        do { stored = try scratch.region(atLeast: block.storedBytes).prefix(block.storedBytes) } catch {
            throw .outOfMemory(error)
        }
        try readStored(block, into: stored)
        do throws(CodecError) {
            try CodecRegistry.decode(block.codec, stored, base: base, into: destination)
        } catch {
            throw .codec(path, offset: block.offset, error)
        }
    }

    /// Fills `region`, of exactly `storedBytes` bytes, with the block as it is stored.
    package func readStored(_ block: SegmentBlock, into region: MemoryRegion) throws(SegmentError) {
        try wrappingIO { () throws(FileSystemError) in
            unsafe try file.read(into: region.mutableBytes, at: block.offset)
        }
        guard region.hash64 == block.storedHash else {
            throw .format(path, .damage(at: block.offset, "\(block.storedBytes) stored bytes do not have their hash"))
        }
    }
}

/// Memory that grows to the largest request and is then reused.
package struct ScratchBuffer: ~Copyable {
    private var buffer: AlignedBuffer?

    package init() {}

    package mutating func region(atLeast bytes: Int) throws(OutOfMemory) -> MemoryRegion {
        if let buffer, buffer.count >= bytes { return buffer.region }
        let grown = try AlignedBuffer(count: roundedUpToPage(max(bytes, 1)), hugePages: bytes >= 2 << 20)
        buffer = grown
        return grown.region
    }
}
