internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage

/// Encodes one block again, as small as possible: as a delta against the newer checkpoint's block,
/// or without a base. Used by one thread.
struct BlockRepacker: ~Copyable {
    private let older: BlockSource
    private let newer: BlockSource
    private var buffers = BlockSource.Buffers()
    private var newerBuffers = BlockSource.Buffers()
    private var delta = ScratchBuffer()
    private var planes = ScratchBuffer()

    init(older: BlockSource, newer: BlockSource) {
        self.older = older
        self.newer = newer
    }

    /// Encodes a block.
    ///
    /// - Parameters:
    ///   - row: the block's row in the older manifest.
    ///   - rawBytes: the block's size before encoding.
    ///   - base: row of the newer checkpoint's block to compare with; nil if there is none.
    ///   - runs: element types of the block's bytes, in order.
    /// - Returns: the block, its bytes padded with zeros to a full page (valid until the next
    ///   call), and whether it is a delta.
    mutating func repack(
        _ row: Int, rawBytes: Int, base: Int?, runs: [ElementRun]
    ) throws(SegmentError) -> (block: EncodedBlock, region: MemoryRegion, isDelta: Bool) {
        let raw = try buffers.raw.pages(for: rawBytes)
        try older.read(row, into: raw.prefix(rawBytes), &buffers)
        var memory = CodecMemory()
        let spare = try planes.pages(for: rawBytes)
        let (alone, isInSpare) = BlockEncoder(.max).encode(raw, rawBytes: rawBytes, runs: runs, memory: &memory, spare: spare)
        if let base, let found = try encode(raw.prefix(rawBytes), base, runs), found.block.storedBytes < alone.storedBytes {
            return (found.block, found.region, true)
        }
        return (alone, isInSpare ? spare : raw, false)
    }

    private mutating func encode(
        _ raw: MemoryRegion, _ base: Int, _ runs: [ElementRun]
    ) throws(SegmentError) -> (block: EncodedBlock, region: MemoryRegion)? {
        let baseRaw = try newerBuffers.raw.pages(for: raw.count).prefix(raw.count)
        try newer.read(base, into: baseRaw, &newerBuffers)
        let target = try delta.pages(for: raw.count)
        guard let stored = DeltaCodec().encode(raw, base: baseRaw, runs: runs, effort: .max, into: target),
            StorageRule.isWorthwhile(storedBytes: stored, rawBytes: raw.count)
        else { return nil }
        target[stored..<roundedUpToPage(stored)].fillWithZeros()
        let block = EncodedBlock(codec: .delta, rawBytes: raw.count, storedBytes: stored, storedHash: target.prefix(stored).hash64)
        return (block, target)
    }
}
