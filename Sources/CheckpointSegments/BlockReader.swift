package import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO
package import SystemPackage

/// A reader of the blocks of one segment. It checks every block's stored hash and decodes the
/// block. Any thread; it takes no lock.
package struct BlockReader: Sendable {
    package let path: FilePath
    private let file: any ReadableFile

    /// Opens the segment that a manifest references.
    ///
    /// - Parameters:
    ///   - reference: Row of the manifest's segment table.
    ///   - fileSystem: The file system.
    ///   - directories: The store.
    /// - Throws: `.io` if the file cannot be opened; `.format` if its size differs or its header
    ///   names another segment.
    package init(
        _ reference: SegmentReference, fileSystem: any FileSystem, directories: StoreDirectories
    ) throws(SegmentError) {
        path = directories.path(of: reference.name)
        let path = path
        file = try wrappingIO { () throws(FileSystemError) in try fileSystem.open(path) }
        guard file.size == reference.fileBytes else {
            throw .format(
                path,
                .damage(
                    at: file.size, "the segment has \(file.size) bytes, not \(reference.fileBytes)")
            )
        }
        try Self.checkHeader(file, reference.name, path)
    }

    /// Checks that the file is still the segment of this name. When a checkpoint expires while it
    /// is being read, its segment's file may be overwritten with another segment, and the header
    /// shows that. A damaged header shows nothing and is ignored, because every block has its own
    /// hash.
    private static func checkHeader(
        _ file: any ReadableFile, _ name: SegmentName, _ path: FilePath
    ) throws(SegmentError) {
        let page = try wrappingIO { () throws(FileSystemError) in
            try file.read(count: min(Limits.pageBytes, file.size), at: 0)
        }
        // Damage of the header is left to the hashes of the blocks.
        let header = try? SegmentHeader(decoding: page[...], digest: Hashing.digest)
        guard let header else { return }
        do throws(FormatError) { try header.check(isFor: name) } catch {
            throw .format(path, error)
        }
    }

    /// Reads and decodes a block.
    ///
    /// - Parameters:
    ///   - block: Location and encoding of the block.
    ///   - base: For a delta, the raw bytes of the block that it is based on.
    ///   - destination: Memory for the raw bytes; exactly `block.rawBytes` bytes.
    ///   - scratch: Memory for the stored bytes of an encoded block; grows as needed.
    /// - Throws: `.io`, `.format` if the stored bytes do not match their hash, `.codec` if they do
    ///   not decode, or `.outOfMemory`.
    package func read(
        _ block: SegmentBlock, base: MemoryRegion? = nil, into destination: MemoryRegion,
        scratch: inout ScratchBuffer
    ) throws(SegmentError) {
        precondition(destination.count == block.rawBytes)
        guard block.codec != .raw else { return try readStored(block, into: destination) }
        let stored: MemoryRegion
        do {
            stored = try scratch.region(atLeast: block.storedBytes).prefix(block.storedBytes)
        } catch {
            throw .outOfMemory(error)
        }
        try readStored(block, into: stored)
        do throws(CodecError) {
            try CodecRegistry.decode(block.codec, stored, base: base, into: destination)
        } catch {
            throw .codec(path, offset: block.offset, error)
        }
    }

    /// Reads a block without decoding it, and without comparing its stored bytes with their hash:
    /// for raw blocks whose chunks are compared with theirs.
    ///
    /// - Parameters:
    ///   - block: Location of the block.
    ///   - region: Memory for the stored bytes; exactly `block.storedBytes` bytes.
    /// - Throws: `.io`.
    package func readUnchecked(
        _ block: SegmentBlock, into region: MemoryRegion
    ) throws(SegmentError) {
        try wrappingIO { () throws(FileSystemError) in
            unsafe try file.read(into: region.mutableBytes, at: block.offset)
        }
    }

    /// Reads a block without decoding it.
    ///
    /// - Parameters:
    ///   - block: Location of the block.
    ///   - region: Memory for the stored bytes; exactly `block.storedBytes` bytes.
    /// - Throws: `.io`, or `.format` if the stored bytes do not match their hash.
    package func readStored(_ block: SegmentBlock, into region: MemoryRegion) throws(SegmentError) {
        try readUnchecked(block, into: region)
        guard region.hash64 == block.storedHash else {
            throw .format(
                path,
                .damage(
                    at: block.offset, "\(block.storedBytes) stored bytes do not match their hash"))
        }
    }
}
