internal import CheckpointCodecs
internal import CheckpointFormat
package import CheckpointSegments

/// Reads the blocks of one manifest. Deltas and casts are read together with all their bases.
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

    /// Returns the reader of the segment that holds a block.
    ///
    /// - Parameter row: the block's row in the manifest; the block must not be a cast.
    /// - Throws: `SegmentError.missing` if the segment does not exist.
    package func reader(of row: Int) throws(SegmentError) -> BlockReader { try readers.reader(of: blocks[row].segment) }

    /// Fills `destination` with the raw bytes of a block; does not check chunk hashes.
    ///
    /// - Parameters:
    ///   - row: the block's row in the manifest.
    ///   - destination: exactly the block's `rawBytes` bytes.
    ///   - buffers: this thread's memory.
    /// - Throws: errors of reading and decoding the block or one of its bases.
    package func read(_ row: Int, into destination: MemoryRegion, _ buffers: inout Buffers) throws(SegmentError) {
        guard blocks[row].base != nil else {
            return try reader(of: row).read(blocks[row].location, into: destination, scratch: &buffers.stored)
        }
        let chain = manifest.chain(of: row)
        var base: MemoryRegion?
        for (index, row) in chain.reversed().enumerated() {
            let target = row == chain[0] ? destination : try buffers.base(index, blocks[row].rawBytes)
            if blocks[row].codec.isCast, let base {
                cast(row, of: base, into: target)
            } else {
                try reader(of: row).read(blocks[row].location, base: base, into: target, scratch: &buffers.stored)
            }
            base = target
        }
    }

    /// Fills `destination` with the raw bytes of a block that is a cast.
    ///
    /// - Parameters:
    ///   - row: the block's row in the manifest.
    ///   - base: raw bytes of the block that the cast is made from.
    ///   - destination: exactly the cast's `rawBytes` bytes.
    package func cast(_ row: Int, of base: MemoryRegion, into destination: MemoryRegion) {
        CastCodec.decode(blocks[row].codec, base[blocks[row].sourceRange], into: destination)
    }
}

extension BlockSource.Buffers {
    fileprivate mutating func base(_ index: Int, _ bytes: Int) throws(SegmentError) -> MemoryRegion {
        do throws(OutOfMemory) {
            return index % 2 == 0 ? try even.region(atLeast: bytes).prefix(bytes) : try odd.region(atLeast: bytes).prefix(bytes)
        } catch { throw .outOfMemory(error) }
    }
}
