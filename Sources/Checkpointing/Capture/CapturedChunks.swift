internal import CheckpointFormat
internal import CheckpointState
internal import CheckpointStorage

/// The captured chunks of a save, and the location of each chunk's bytes. A plain value.
struct CapturedChunks {
    enum Content: Equatable {
        /// In the chunk's own block, at an offset of its raw bytes.
        case own(offset: Int)
        /// In the block of another chunk of this save, which has the same bytes.
        case same(row: Int)
        /// In a block of an earlier checkpoint.
        case inStore(StoredChunk)
        /// Not stored: they are the cast of another chunk of this save.
        case cast(row: Int)
        /// Not stored: another rank saves the tensor.
        case replica
    }

    /// Minimum size for deduplication. Smaller chunks share a block: a block takes full pages.
    static let reusedBytesMin = Limits.pageBytes
    /// A cast costs two rows of the manifest.
    static let castBytesMin = 256

    private let plan: CapturePlan
    private let isReusing: Bool
    private(set) var hashes: [Hash128]
    private(set) var contents: [Content]
    /// The bytes that each block has to store.
    private(set) var rawBytes: [Int]
    /// The chunk of this save that stores a content. Space is reserved up front.
    private var rowOfContent: [Hash128: Int] = [:]

    init(_ plan: CapturePlan, isReusing: Bool) {
        self.plan = plan
        self.isReusing = isReusing
        hashes = [Hash128](repeating: Hash128(rawValue: 0), count: plan.chunks.count)
        contents = plan.chunks.map { .own(offset: $0.offset) }
        rawBytes = plan.blocks.map(\.bytes)
        if isReusing { rowOfContent.reserveCapacity(plan.chunks.count) }
    }

    /// Enters a captured chunk.
    ///
    /// - Parameter content: where its bytes are already; nil if this save has to store them.
    mutating func enter(_ row: Int, _ hash: Hash128, _ content: Content?) {
        hashes[row] = hash
        if let content { contents[row] = content }
    }

    /// All chunks of a block are captured: decides which of them it has to store, and where.
    ///
    /// - Returns: the part of the block to store, and the moves within its slot that bring the
    ///   chunks to store to the front.
    mutating func finish(
        _ block: BlockIndex, _ planned: PlannedState
    ) -> (CapturedBlock, moves: [(from: Range<Int>, to: Int)]) {
        choose(block)
        return (blockToStore(block, planned), moves(in: block))
    }

    private mutating func choose(_ block: BlockIndex) {
        let rows = plan[block: block].chunks
        if isReusing { reuse(rows) }
        var end = 0
        for row in rows where isOwn(row) {
            contents[row] = .own(offset: end)
            end += bytes(of: row)
            if isReusing { rowOfContent.updateValue(row, forKey: hashes[row]) }
        }
        rawBytes[block.rawValue] = end
    }

    private func blockToStore(_ index: BlockIndex, _ planned: PlannedState) -> CapturedBlock {
        let block = plan[block: index]
        let rawBytes = rawBytes[index.rawValue]
        let hash = block.chunks.count == 1 ? hashes[block.chunks.lowerBound] : nil
        guard rawBytes < block.bytes else {
            return CapturedBlock(rawBytes: rawBytes, contentHash: hash)
        }
        let own = zip(block.chunks, planned.runs[index.rawValue]).compactMap { row, run in
            isOwn(row) ? run : nil
        }
        return CapturedBlock(rawBytes: rawBytes, contentHash: hash, runs: own)
    }

    private func moves(in index: BlockIndex) -> [(from: Range<Int>, to: Int)] {
        let block = plan[block: index]
        guard rawBytes[index.rawValue] < block.bytes else { return [] }
        return block.chunks.compactMap { row -> (from: Range<Int>, to: Int)? in
            guard case .own(let offset) = contents[row] else { return nil }
            return (plan.chunks[row].offset..<plan.chunks[row].offset + bytes(of: row), offset)
        }
    }

    private mutating func reuse(_ rows: Range<Int>) {
        for row in rows { findInSave(row) }
        guard rows.contains(where: isOwn) else { return }
        for row in rows where !isElsewhere(row) && bytes(of: row) < Self.reusedBytesMin {
            contents[row] = .own(offset: 0)
        }
    }

    private mutating func findInSave(_ row: Int) {
        guard isOwn(row), let first = rowOfContent[hashes[row]], bytes(of: first) == bytes(of: row) else { return }
        contents[row] = .same(row: first)
    }

    private func isOwn(_ row: Int) -> Bool {
        if case .own = contents[row] { true } else { false }
    }

    private func isCast(_ row: Int) -> Bool {
        if case .cast = contents[row] { true } else { false }
    }

    /// True for a chunk that is never stored, whatever the blocks around it.
    private func isElsewhere(_ row: Int) -> Bool { isCast(row) || contents[row] == .replica }

    private func bytes(of row: Int) -> Int { plan.chunks[row].range.count }

    /// Chunks that an earlier checkpoint has.
    var areInStore: [Bool] {
        contents.map { if case .inStore = $0 { true } else { false } }
    }

    /// Bytes that are casts of others.
    var castBytes: Int { contents.indices.reduce(0) { $0 + (isCast($1) ? bytes(of: $1) : 0) } }

    /// Bytes that another rank saves.
    var replicaBytes: Int {
        contents.indices.reduce(0) { $0 + (contents[$1] == .replica ? bytes(of: $1) : 0) }
    }

    /// Bytes of the state that the store has, or this save more than once.
    var reusedBytes: Int { plan.totalBytes - rawBytes.reduce(0, +) - castBytes - replicaBytes }
}
