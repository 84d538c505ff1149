internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointSegments
internal import CheckpointStorage

/// Positions of the copies of intact blocks from damaged segments.
struct BlockCopies {
    var segments: [SegmentReference] = []
    /// The copies, by the original.
    var blocks: [BlockID: PlacedBlock] = [:]

    func location(of copy: PlacedBlock) -> (segment: SegmentReference, block: SegmentBlock) {
        (segments[copy.segment], copy.location)
    }

    func builder(for manifest: Manifest) -> Builder { Builder(copies: self, manifest: manifest) }

    /// Returns the manifest of the same checkpoint, with copies in place of the blocks that were
    /// copied.
    func relocated(_ manifest: Manifest) -> Manifest {
        var builder = builder(for: manifest)
        var moved = manifest
        for index in moved.chunks.indices { moved.chunks[index].block = builder.row(of: moved.chunks[index].block) }
        (moved.segments, moved.blocks) = (builder.table.segments, builder.table.blocks)
        return moved
    }

    /// Builds the tables of a manifest from those of another.
    struct Builder {
        private let copies: BlockCopies
        private let manifest: Manifest
        private(set) var table = BlockTable()
        private(set) var chunks: [ChunkRecord] = []

        init(copies: BlockCopies, manifest: Manifest) {
            self.copies = copies
            self.manifest = manifest
        }

        /// Returns the new row of a block; adds the block after all blocks that it is a delta of.
        mutating func row(of old: Int) -> Int {
            let block = manifest.blocks[old]
            let base = block.base.map { row(of: $0) }
            let segment = manifest.segments[block.segment]
            if !block.codec.isCast, let copied = copies.blocks[BlockID(block, in: manifest.segments)] {
                let copy = copies.location(of: copied)
                return table.add(copy.block, of: copy.segment, base: base)
            }
            return table.add(block.location, of: segment, base: base)
        }

        private mutating func add(_ rows: Range<Int>) -> Range<Int> {
            let first = chunks.count
            for var chunk in manifest.chunks[rows] {
                chunk.block = row(of: chunk.block)
                chunks.append(chunk)
            }
            return first..<chunks.count
        }

        mutating func add(_ tensor: TensorRecord) -> TensorRecord {
            var tensor = tensor
            for index in tensor.shards.indices { tensor.shards[index].chunks = add(tensor.shards[index].chunks) }
            return tensor
        }

        mutating func add(_ object: ObjectRecord) -> ObjectRecord {
            var object = object
            object.chunks = add(object.chunks)
            return object
        }

        /// Adds a new object, in a separate block.
        mutating func add(
            _ bytes: [UInt8], name: String, _ location: (segment: SegmentReference, block: SegmentBlock)
        ) -> ObjectRecord {
            let row = table.add(location.block, of: location.segment)
            chunks.append(ChunkRecord(hash: Hashing.digest(bytes[...]), block: row, offset: 0, bytes: bytes.count, epoch: 0))
            return ObjectRecord(
                name: name, role: .other, encoding: .json, bytes: bytes.count, chunks: chunks.count - 1..<chunks.count)
        }
    }
}
