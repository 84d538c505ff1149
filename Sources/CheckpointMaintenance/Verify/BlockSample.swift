internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointStorage

/// The blocks that a sample consists of. Pure.
struct BlockSample {
    private var offsets: [SegmentName: Set<Int>] = [:]

    /// Chooses blocks, in an order that depends only on their names and the seed, until they have
    /// enough bytes.
    init(of uses: [SegmentName: SegmentUse], _ sample: VerificationSample) {
        let all = uses.flatMap { name, use in use.blocks.keys.map { (name: name, block: $0) } }
            .map { (rank: Self.rank($0.name, $0.block.offset, sample.seed), name: $0.name, block: $0.block) }
            .sorted { $0.rank < $1.rank }
        let total = all.reduce(0) { $0 + $1.block.paddedBytes }
        var bytes = 0
        for entry in all where Double(bytes) < Double(total) * sample.fraction {
            offsets[entry.name, default: []].insert(entry.block.offset)
            bytes += entry.block.paddedBytes
        }
    }

    private static func rank(_ segment: SegmentName, _ offset: Int, _ seed: UInt64) -> UInt128 {
        Hashing.digest(Array("\(seed) \(segment) \(offset)".utf8)[...]).rawValue
    }

    func contains(_ block: SegmentBlock, in segment: SegmentName) -> Bool { offsets[segment]?.contains(block.offset) == true }
}

extension SegmentBlock {
    /// Bytes of the block that a verification reads, including padding.
    var paddedBytes: Int { paddedEnd - offset }
}
