package import CheckpointCodecs
package import CheckpointFormat
package import CheckpointSegments
package import SystemPackage

/// The raw bytes of one block. A chunk of them is returned only after it was compared with the hash
/// taken at capture: this is the one place where that is done.
package struct DecodedBlock {
    /// All raw bytes of the block; nothing in them is checked yet.
    package let raw: MemoryRegion
    private let path: FilePath
    /// Offset of the block in its file; for a cast, of its base.
    private let offset: Int

    /// Describes bytes that are decoded already.
    ///
    /// - Parameters:
    ///   - raw: the block's raw bytes.
    ///   - path: the segment's file, for errors.
    ///   - offset: the block's offset in that file, for errors.
    package init(_ raw: MemoryRegion, path: FilePath, offset: Int) {
        self.raw = raw
        self.path = path
        self.offset = offset
    }

    /// Decodes a block that has no base.
    ///
    /// - Parameters:
    ///   - block: location and encoding of the block.
    ///   - stored: its stored bytes; used in place if they are not encoded.
    ///   - path: the segment's file, for errors.
    ///   - scratch: memory for the raw bytes.
    /// - Throws: `.codec`, `.outOfMemory`.
    package init(
        _ block: SegmentBlock, stored: MemoryRegion, path: FilePath,
        scratch: inout ScratchBuffer
    ) throws(SegmentError) {
        guard block.codec != .raw else {
            self.init(stored, path: path, offset: block.offset)
            return
        }
        let raw = try scratch.bytes(block.rawBytes)
        do throws(CodecError) { try CodecRegistry.decode(block.codec, stored, into: raw) } catch {
            throw .codec(path, offset: block.offset, error)
        }
        self.init(raw, path: path, offset: block.offset)
    }

    /// Compares a range with a hash.
    ///
    /// - Returns: nil if the range has the hash.
    package func mismatch(_ range: Range<Int>, hash: Hash128) -> ChunkMismatch? {
        guard raw[range].hash128 != hash else { return nil }
        return ChunkMismatch(path: path, offset: offset, range: range)
    }

    /// Returns the bytes of a chunk.
    ///
    /// - Parameter record: a chunk of this block.
    /// - Throws: `ChunkMismatch` if they do not have its hash.
    package func chunk(_ record: ChunkRecord) throws(ChunkMismatch) -> MemoryRegion {
        if let mismatch = mismatch(record.range, hash: record.hash) { throw mismatch }
        return raw[record.range]
    }

    /// Checks chunks of this block.
    ///
    /// - Throws: `ChunkMismatch` for the first chunk that does not have its hash.
    package func check(_ chunks: some Sequence<ChunkRecord>) throws(ChunkMismatch) {
        for record in chunks { _ = try chunk(record) }
    }
}
