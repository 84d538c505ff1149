internal import CheckpointFormat
internal import CheckpointState

/// What has been captured of a save, and where the bytes of each chunk are to be found: a plain value.
struct CapturedChunks {
    enum Content: Equatable {
        /// In the chunk's own block, at an offset of its raw bytes.
        case own(offset: Int)
        /// Where those of another chunk of this save are, which has them in its own block.
        case same(row: Int)
        /// In a block of an earlier checkpoint.
        case stored(ChunkIndex.Place)
    }

    /// A smaller chunk is stored with its neighbours rather than looked for elsewhere: a block takes whole pages.
    static let reusedBytesMin = Limits.pageBytes

    private let plan: CapturePlan
    private let isReusing: Bool
    private(set) var hashes: [Hash128]
    private(set) var contents: [Content]
    /// What each block has to store.
    private(set) var rawBytes: [Int]
    /// The chunk of this save that stores a content. Room is made at once.
    private var rowOfContent: [Hash128: Int] = [:]

    init(_ plan: CapturePlan, isReusing: Bool) {
        self.plan = plan
        self.isReusing = isReusing
        hashes = [Hash128](repeating: Hash128(rawValue: 0), count: plan.chunks.count)
        contents = plan.chunks.map { .own(offset: $0.offset) }
        rawBytes = plan.blocks.map(\.bytes)
        if isReusing { rowOfContent.reserveCapacity(plan.chunks.count) }
    }

    /// A chunk is captured.
    /// - Parameter place: where the store has it already.
    mutating func captured(_ row: Int, _ hash: Hash128, place: ChunkIndex.Place?) {
        hashes[row] = hash
        if let place { contents[row] = .stored(place) }
    }

    /// All chunks of a block are captured: decides which of them it has to store, and where.
    mutating func settle(_ block: Int) {
        guard isReusing else { return }
        let rows = plan.blocks[block].chunks
        for row in rows { findInSave(row) }
        if rows.contains(where: isOwn) { for row in rows where bytes(of: row) < Self.reusedBytesMin { contents[row] = .own(offset: 0) } }
        var end = 0
        for row in rows where isOwn(row) {
            contents[row] = .own(offset: end)
            end += bytes(of: row)
            rowOfContent.updateValue(row, forKey: hashes[row])
        }
        rawBytes[block] = end
    }

    private mutating func findInSave(_ row: Int) {
        guard isOwn(row), let first = rowOfContent[hashes[row]], bytes(of: first) == bytes(of: row) else { return }
        contents[row] = .same(row: first)
    }

    private func isOwn(_ row: Int) -> Bool {
        if case .own = contents[row] { true } else { false }
    }

    private func bytes(of row: Int) -> Int { plan.chunks[row].range.count }

    /// Which chunks an earlier checkpoint has.
    var areStored: [Bool] {
        contents.map { if case .stored = $0 { true } else { false } }
    }

    /// Bytes of the state that need not be stored.
    var reusedBytes: Int { plan.totalBytes - rawBytes.reduce(0, +) }
}
