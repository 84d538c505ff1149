internal import CheckpointStorage
internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments

/// Encodes one block anew, as small as it gets: as a delta of the newer checkpoint's block, or by itself. Used by one thread.
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

    /// - Parameters:
    ///   - base: row of the newer checkpoint's block, if there is one to compare with.
    ///   - runs: what the bytes are.
    /// - Returns: the block, where it lies with zeros up to a whole page, and whether it is a delta.
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
            CodecRegistry.isWorthwhile(storedBytes: stored, rawBytes: raw.count)
        else { return nil }
        target[stored..<roundedUpToPage(stored)].fillWithZeros()
        let block = EncodedBlock(codec: .delta, rawBytes: raw.count, storedBytes: stored, storedHash: target.prefix(stored).hash64)
        return (block, target)
    }
}

extension ScratchBuffer {
    /// Memory for so many bytes, and zeros up to a whole page.
    fileprivate mutating func pages(for bytes: Int) throws(SegmentError) -> MemoryRegion {
        do { return try region(atLeast: bytes).prefix(roundedUpToPage(bytes)) } catch { throw .outOfMemory(error) }
    }
}
