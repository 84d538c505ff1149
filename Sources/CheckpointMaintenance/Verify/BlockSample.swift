internal import CheckpointStorage
internal import CheckpointCodecs
internal import CheckpointFormat

/// A part of a store's blocks, chosen at random, to be read instead of all of them.
public struct VerificationSample: Sendable, Equatable {
    /// How much of the blocks' bytes is read, at least: above 0, at most 1.
    public var fraction: Double
    /// The same seed chooses the same blocks of the same store.
    public var seed: UInt64

    /// - Parameter fraction: above 0, at most 1.
    public init(fraction: Double, seed: UInt64) {
        precondition(fraction > 0 && fraction <= 1)
        self.fraction = fraction
        self.seed = seed
    }
}

/// The blocks that a sample is made of: pure.
struct BlockSample {
    private var offsets: [SegmentName: Set<Int>] = [:]

    /// Takes blocks in an order that depends on nothing but their names and the seed, until they have enough bytes.
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
    /// Bytes that a verification reads of it.
    var paddedBytes: Int { paddedEnd - offset }
}
