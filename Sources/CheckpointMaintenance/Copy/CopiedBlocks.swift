internal import CheckpointFormat
internal import CheckpointStorage

/// Content of a copy's destination: chunks by hash, and the destination's block for each block of
/// the source that was copied. A plain value.
struct CopiedBlocks {
    /// A block of the destination.
    struct Block {
        var segment: SegmentReference
        var location: SegmentBlock
        /// Base of a delta, as a block of the source; nil if the block is not a delta.
        var base: BlockID?
    }

    /// A chunk in a block that is not a delta.
    struct Place {
        var block: Block
        var offset: Int
    }

    private struct Content: Hashable {
        var hash: Hash128
        var bytes: Int
    }

    /// By the block of the source.
    private(set) var blocks: [BlockID: Block] = [:]
    private var chunks: [Content: Place] = [:]

    func place(of chunk: ChunkRecord) -> Place? { chunks[Content(hash: chunk.hash, bytes: chunk.bytes)] }

    /// Returns the number of deltas between a block and the first base that is not a delta.
    func chainLength(_ id: BlockID) -> Int {
        var length = 0
        var next = blocks[id]?.base
        while let base = next {
            length += 1
            next = blocks[base]?.base
        }
        return length
    }

    /// Adds a checkpoint of the destination.
    mutating func add(_ tables: Manifest.Tables) {
        for chunk in tables.chunks { add(chunk, tables.blocks[chunk.block], tables.segments) }
    }

    private mutating func add(_ chunk: ChunkRecord, _ block: BlockRecord, _ segments: [SegmentReference]) {
        guard block.base == nil else { return }
        let place = Place(block: Block(segment: segments[block.segment], location: block.location), offset: chunk.offset)
        chunks[Content(hash: chunk.hash, bytes: chunk.bytes)] = place
    }

    /// Adds a checkpoint that is in both stores: chunk by chunk, a block of the source corresponds
    /// to a block of the copy.
    mutating func add(_ source: Manifest, as copy: Manifest) {
        add(Manifest.Tables(copy, hash: Hash128(rawValue: 0)))
        var idOfRow: [Int: BlockID] = [:]
        for (a, b) in zip(source.chunks, copy.chunks) where a.hash == b.hash && a.offset == b.offset { note(a.block, b.block) }
        func note(_ a: Int, _ b: Int) {
            let (from, to) = (source.blocks[a], copy.blocks[b])
            guard idOfRow[b] == nil, !from.codec.isCast, from.location.holdsSame(as: to.location), (from.base == nil) == (to.base == nil)
            else { return }
            if let base = from.base, let copied = to.base {
                note(base, copied)
                guard idOfRow[copied] != nil else { return }
            }
            let id = BlockID(from, in: source.segments)
            idOfRow[b] = id
            blocks[id] = Block(segment: copy.segments[to.segment], location: to.location, base: to.base.flatMap { idOfRow[$0] })
        }
    }
}

extension SegmentBlock {
    /// Returns true if both blocks have the same stored bytes, regardless of their offsets.
    fileprivate func holdsSame(as other: SegmentBlock) -> Bool {
        (codec, rawBytes, storedBytes, storedHash) == (other.codec, other.rawBytes, other.storedBytes, other.storedHash)
    }
}
