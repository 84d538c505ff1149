internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage

/// Copies intact blocks into new segments, as they are stored. Used by one thread.
struct BlockRescue {
    private let store: CheckpointStore
    private let writer: SegmentWriter
    private let appender: BlockAppender
    private var copies = BlockCopies()
    private(set) var copiedBytes = 0

    init(store: CheckpointStore) {
        self.store = store
        writer = store.segmentWriter(attempt: .random())
        appender = BlockAppender(writer)
    }

    /// Copies blocks of one segment. A raw block may be damaged in part: what needs its intact
    /// chunks needs the copy.
    ///
    /// - Parameters:
    ///   - blocks: the blocks to copy.
    ///   - segment: the segment that holds them.
    /// - Throws: code `damaged` if an encoded block differs from what the survey read; `io`,
    ///   `noSpace`.
    mutating func copy(_ blocks: Set<SegmentBlock>, of segment: SegmentName) throws(CheckpointError)
    {
        let verifier = SegmentVerifier(fileSystem: store.fileSystem, directories: store.directories)
        var (rescue, failure) = (self, CheckpointError?.none)
        var scratch = ScratchBuffer()
        func add(_ block: SegmentBlock, _ stored: MemoryRegion) {
            guard failure == nil else { return }
            do throws(SegmentError) {
                try rescue.add(block, stored, of: segment, &scratch)
            } catch { failure = CheckpointError(error) }
        }
        try translating("reading \(segment)") {
            try verifier.contents(
                of: segment, blocks: blocks.sorted { $0.offset < $1.offset },
                // Damaged padding is not copied.
                found: { error, block, stored in
                    guard let block else { return }
                    // Of a raw block, the chunks that are intact are rescued.
                    guard block.codec == .raw, let stored else {
                        failure = failure ?? CheckpointError(error)
                        return
                    }
                    add(block, stored)
                },
                whole: add)
        }
        self = rescue
        if let failure { throw failure }
    }

    private mutating func add(
        _ block: SegmentBlock, _ stored: MemoryRegion, of segment: SegmentName,
        _ scratch: inout ScratchBuffer
    ) throws(SegmentError) {
        let id = BlockID(segment: segment, offset: block.offset)
        // The copy of a partly damaged block has a new hash.
        let encoded = EncodedBlock(
            codec: block.codec, rawBytes: block.rawBytes, storedBytes: block.storedBytes,
            storedHash: stored.hash64)
        copies.blocks[id] = try appender.append(encoded, copying: stored, scratch: &scratch)
        copiedBytes += block.storedBytes
    }

    /// Stores new bytes, such as a salvage note.
    ///
    /// - Returns: the block that holds them.
    /// - Throws: codes `io`, `noSpace`, `outOfMemory`.
    mutating func add(_ bytes: [UInt8]) throws(CheckpointError) -> PlacedBlock {
        try translating("writing a salvage note") {
            let buffer = try AlignedBuffer(count: bytes.count, hugePages: false)
            buffer.region.store(bytes[...])
            let encoded = EncodedBlock(
                codec: .raw, rawBytes: bytes.count, storedBytes: bytes.count,
                storedHash: buffer.region.hash64)
            var scratch = ScratchBuffer()
            return try appender.append(encoded, copying: buffer.region, scratch: &scratch)
        }
    }

    /// Makes the copies durable (W2 to W5), and reads them back.
    ///
    /// - Returns: the positions of all copies.
    /// - Throws: codes `damaged`, `io`, `noSpace`.
    mutating func finish() throws(CheckpointError) -> BlockCopies {
        copies.segments = try translating("sealing copies") { try writer.seal().references }
        let verifier = SegmentVerifier(fileSystem: store.fileSystem, directories: store.directories)
        var failure: SegmentError?
        try translating("reading back copies") {
            for segment in copies.segments {
                _ = try verifier.check(segment.name, found: { failure = failure ?? $0 })
            }
        }
        if let failure { throw CheckpointError(failure) }
        return copies
    }

    func abandon() { writer.abandon() }
}
