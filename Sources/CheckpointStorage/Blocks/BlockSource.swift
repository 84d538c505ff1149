internal import CheckpointCodecs
internal import CheckpointFormat
package import CheckpointSegments

/// Reads the blocks of one manifest, deltas and casts with all that they are based on.
package struct BlockSource: Sendable {
    private let readers: SegmentReaders
    private let manifest: Manifest
    private var blocks: [BlockRecord] { manifest.blocks }

    package init(store: CheckpointStore, manifest: Manifest) {
        readers = SegmentReaders(store: store, segments: manifest.segments)
        self.manifest = manifest
    }

    /// Memory that reading needs, kept from block to block.
    package struct Buffers: ~Copyable {
        package var raw = ScratchBuffer()
        package var cast = ScratchBuffer()
        fileprivate var stored = ScratchBuffer()
        /// Bases, alternating along a chain.
        fileprivate var even = ScratchBuffer()
        fileprivate var odd = ScratchBuffer()

        package init() {}
    }

    /// The segment that a block lies in.
    package func reader(of row: Int) throws(SegmentError) -> BlockReader { try readers.reader(of: blocks[row].segment) }

    /// Fills `destination`, of exactly `rawBytes` bytes, with the raw bytes of the block in `row`.
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

    /// Fills `destination` with the raw bytes of a block that is a cast, given those of its base.
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
