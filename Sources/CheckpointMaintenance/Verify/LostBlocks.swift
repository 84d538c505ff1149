internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointSegments
internal import CheckpointStorage

/// Blocks that are known to be lost, completely or in part.
struct LostBlocks {
    private var faults: [SegmentName: [SegmentFault.Loss]] = [:]

    mutating func add(_ faults: [SegmentFault], _ segment: SegmentName) {
        if !faults.isEmpty { self.faults[segment, default: []] += faults.map(\.loss) }
    }

    func contains(_ block: BlockRecord, of manifest: Manifest) -> Bool {
        faults[manifest.segments[block.segment].name, default: []].contains { $0.includes(block.location, nil) }
    }
}
