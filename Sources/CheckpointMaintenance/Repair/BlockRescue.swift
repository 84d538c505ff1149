internal import CheckpointStorage
internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments

/// Copies intact blocks into new segments, as they are stored. Used by one thread.
struct BlockRescue {
    /// Position of a copy: the number of its segment, and the block in it.
    struct Place {
        var segment: Int
        var block: SegmentBlock
    }

    private let store: CheckpointStore
    private let writer: SegmentWriter
    private var layout = SegmentLayout()
    private var copies = BlockCopies()
    private(set) var copiedBytes = 0

    init(store: CheckpointStore) {
        self.store = store
        writer = SegmentWriter(
            fileSystem: store.fileSystem, directories: store.directories, store: store.id, attempt: .random(), rank: 0)
    }

    /// Copies blocks of one segment, checking each.
    ///
    /// - Parameters:
    ///   - blocks: the blocks to copy.
    ///   - segment: the segment that holds them.
    /// - Throws: code `damaged` if a block differs from what the survey read a moment ago; `io`,
    ///   `noSpace`.
    mutating func copy(_ blocks: Set<SegmentBlock>, of segment: SegmentName) throws(CheckpointError) {
        let verifier = SegmentVerifier(fileSystem: store.fileSystem, directories: store.directories)
        var (rescue, failure) = (self, CheckpointError?.none)
        try translating("reading \(segment)") {
            try verifier.contents(
                of: segment, blocks: blocks.sorted { $0.offset < $1.offset },
                // Damaged padding is not copied.
                found: { error, block in if block != nil { failure = failure ?? CheckpointError(error) } },
                whole: { block, stored in
                    guard failure == nil else { return }
                    do throws(CheckpointError) { try rescue.add(block, stored, of: segment) } catch { failure = error }
                })
        }
        self = rescue
        if let failure { throw failure }
    }

    private mutating func add(_ block: SegmentBlock, _ stored: MemoryRegion, of segment: SegmentName) throws(CheckpointError) {
        let encoded = EncodedBlock(
            codec: block.codec, rawBytes: block.rawBytes, storedBytes: block.storedBytes, storedHash: block.storedHash)
        copies.places[segment, default: [:]][block.offset] = try write(stored, encoded)
        copiedBytes += block.storedBytes
    }

    /// Stores new bytes, such as a salvage note.
    ///
    /// - Returns: the position of the block.
    /// - Throws: codes `io`, `noSpace`, `outOfMemory`.
    mutating func add(_ bytes: [UInt8]) throws(CheckpointError) -> Place {
        let buffer = try translating("a note") { try AlignedBuffer(count: bytes.count, hugePages: false) }
        buffer.region.store(bytes[...])
        let encoded = EncodedBlock(
            codec: .raw, rawBytes: bytes.count, storedBytes: bytes.count, storedHash: buffer.region.hash64)
        return try write(buffer.region, encoded)
    }

    private mutating func write(_ stored: MemoryRegion, _ block: EncodedBlock) throws(CheckpointError) -> Place {
        let place = layout.place(bytes: block.storedBytes)
        return try translating("copying blocks") {
            let padded = try AlignedBuffer(count: roundedUpToPage(block.storedBytes), hugePages: false)
            padded.region.prefix(block.storedBytes).copy(from: stored)
            return Place(segment: place.segment, block: try writer.write(padded.region, block: block, at: place))
        }
    }

    /// Makes the copies durable (W2 to W5), and reads them back.
    ///
    /// - Returns: the positions of all copies.
    /// - Throws: codes `damaged`, `io`, `noSpace`.
    mutating func finish() throws(CheckpointError) -> BlockCopies {
        copies.segments = try translating("sealing copies") { try writer.seal() }
        let verifier = SegmentVerifier(fileSystem: store.fileSystem, directories: store.directories)
        var failure: SegmentError?
        try translating("reading back copies") {
            for segment in copies.segments { _ = try verifier.check(segment.name, found: { failure = failure ?? $0 }) }
        }
        if let failure { throw CheckpointError(failure) }
        return copies
    }

    func abandon() { writer.abandon() }
}
