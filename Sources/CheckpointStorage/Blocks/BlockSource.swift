package import CheckpointCodecs
package import CheckpointFormat
package import CheckpointSegments

/// Reads the blocks of one manifest. Deltas and casts are read together with all their bases.
///
/// Any thread, each with its own buffers.
package struct BlockSource: Sendable {
    private let readers: SegmentReaders
    private let manifest: Manifest
    private var blocks: [BlockRecord] { manifest.blocks }

    /// Creates a source; opens no file yet.
    ///
    /// - Parameters:
    ///   - store: the store that holds the checkpoint.
    ///   - manifest: the checkpoint's manifest.
    package init(store: CheckpointStore, manifest: Manifest) {
        readers = SegmentReaders(store: store, segments: manifest.segments)
        self.manifest = manifest
    }

    /// Memory for reading, reused from block to block. Not shared between threads.
    package struct Buffers: ~Copyable {
        package var raw = ScratchBuffer()
        package var cast = ScratchBuffer()
        fileprivate var stored = ScratchBuffer()
        /// Bases of a delta chain: consecutive links use the two buffers in turn.
        fileprivate var even = ScratchBuffer()
        fileprivate var odd = ScratchBuffer()

        package init() {}
    }

    /// Reads a block as it is stored.
    ///
    /// - Parameters:
    ///   - row: the block's row in the manifest; the block must not be a cast.
    ///   - region: memory for exactly the block's `storedBytes` bytes.
    /// - Throws: `SegmentError.missing` if the segment does not exist; errors of reading.
    package func readStored(_ row: Int, into region: MemoryRegion) throws(SegmentError) {
        try reader(of: row).readStored(blocks[row].location, into: region)
    }

    private func reader(of row: Int) throws(SegmentError) -> BlockReader {
        try readers.reader(of: blocks[row].segment)
    }

    /// Reads and decodes a block, with its bases.
    ///
    /// - Parameters:
    ///   - row: the block's row in the manifest.
    ///   - destination: memory for exactly the block's `rawBytes` bytes; nil uses `buffers.raw`.
    ///   - buffers: this thread's memory.
    /// - Returns: the block, whose chunks are checked when they are taken.
    /// - Throws: errors of reading and decoding the block or one of its bases.
    package func block(
        _ row: Int, into destination: MemoryRegion? = nil, _ buffers: inout Buffers
    ) throws(SegmentError) -> DecodedBlock {
        let raw =
            if let destination { destination } else {
                try buffers.raw.bytes(blocks[row].rawBytes)
            }
        if blocks[row].codec == .raw {
            // Each chunk has its own hash: one damaged byte costs only its chunk.
            try reader(of: row).readUnchecked(blocks[row].location, into: raw)
        } else {
            try read(row, into: raw, &buffers)
        }
        return decoded(row, raw)
    }

    /// Computes a cast.
    ///
    /// - Parameters:
    ///   - row: the cast's row in the manifest.
    ///   - base: the block that the cast is made from.
    ///   - destination: memory for exactly the cast's `rawBytes` bytes; nil uses `buffers.cast`.
    ///   - buffers: this thread's memory.
    /// - Returns: the cast, whose chunks are checked when they are taken.
    /// - Throws: `.outOfMemory`.
    package func cast(
        _ row: Int, of base: DecodedBlock, into destination: MemoryRegion?,
        _ buffers: inout Buffers
    ) throws(SegmentError) -> DecodedBlock {
        let raw =
            if let destination { destination } else {
                try buffers.cast.bytes(blocks[row].rawBytes)
            }
        cast(row, of: base.raw, into: raw)
        return decoded(row, raw)
    }

    private func decoded(_ row: Int, _ raw: MemoryRegion) -> DecodedBlock {
        var stored = row
        while blocks[stored].codec.isCast, let base = blocks[stored].base { stored = base }
        let path = readers.path(of: blocks[stored].segment)
        return DecodedBlock(raw, path: path, offset: blocks[stored].offset)
    }

    /// Fills `destination` with the raw bytes of a block that is going to be encoded again: no
    /// chunk is checked.
    ///
    /// - Parameters:
    ///   - row: the block's row in the manifest.
    ///   - destination: exactly the block's `rawBytes` bytes.
    ///   - buffers: this thread's memory.
    /// - Throws: errors of reading and decoding the block or one of its bases.
    package func read(_ row: Int, into destination: MemoryRegion, _ buffers: inout Buffers)
        throws(SegmentError)
    {
        guard blocks[row].base != nil else {
            return try reader(of: row).read(
                blocks[row].location, into: destination, scratch: &buffers.stored)
        }
        let chain = manifest.chain(of: row)
        var base: MemoryRegion?
        for (index, row) in chain.reversed().enumerated() {
            let target =
                row == chain[0] ? destination : try buffers.base(index, blocks[row].rawBytes)
            if blocks[row].codec.isCast, let base {
                cast(row, of: base, into: target)
            } else {
                try reader(of: row).read(
                    blocks[row].location, base: base, into: target, scratch: &buffers.stored)
            }
            base = target
        }
    }

    private func cast(_ row: Int, of base: MemoryRegion, into destination: MemoryRegion) {
        CastCodec.decode(blocks[row].codec, base[blocks[row].sourceRange], into: destination)
    }
}

extension BlockSource.Buffers {
    fileprivate mutating func base(_ index: Int, _ bytes: Int) throws(SegmentError) -> MemoryRegion
    {
        index % 2 == 0 ? try even.bytes(bytes) : try odd.bytes(bytes)
    }
}
