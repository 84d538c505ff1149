internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointSegments
internal import CheckpointStorage

/// Uses of all blocks of a store, counted before a repack. A plain value.
struct BlockUses {
    /// Number of manifests that name each block.
    private var counts: [BlockID: Int] = [:]
    private var segmentCounts: [SegmentName: Int] = [:]
    /// Blocks that are bases of deltas.
    private var bases: Set<BlockID> = []

    mutating func add(_ tables: Manifest.Tables) {
        // A cast has no stored bytes; it stays or goes with its base.
        for block in tables.blocks where !block.codec.isCast {
            counts[BlockID(block, in: tables.segments), default: 0] += 1
            if let base = block.base { bases.insert(BlockID(tables.blocks[base], in: tables.segments)) }
        }
        for segment in tables.segments { segmentCounts[segment.name, default: 0] += 1 }
    }

    /// Forgets a manifest.
    ///
    /// - Returns: the segments that no manifest names any more.
    mutating func remove(_ tables: Manifest.Tables) -> [SegmentName] {
        for block in tables.blocks where !block.codec.isCast {
            counts[BlockID(block, in: tables.segments), default: 1] -= 1
        }
        return tables.segments.map(\.name).filter { name in
            segmentCounts[name, default: 1] -= 1
            return segmentCounts[name] == 0
        }
    }

    func names(_ segment: SegmentName) -> Bool { segmentCounts[segment, default: 0] > 0 }

    /// Returns true if only one manifest names a block, and no other block needs it.
    func isUnique(_ block: BlockRecord, _ segments: [SegmentReference]) -> Bool {
        let id = BlockID(block, in: segments)
        return counts[id] == 1 && !bases.contains(id)
    }

    func isBase(_ block: BlockRecord, _ segments: [SegmentReference]) -> Bool {
        bases.contains(BlockID(block, in: segments))
    }
}
