internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage

/// The chunks of the store's committed checkpoints by hash, which saves reference instead of
/// writing them again.
///
/// Only blocks of published manifests are reused, and only while their checkpoint is held: a held
/// checkpoint is not removed (Formats/durability.md, Reusing). The hash is 128 bits of XXH3, not a
/// cryptographic one: it distinguishes the content that training makes, not content made by an
/// attacker, so training is not given the checkpoints that come from elsewhere.
///
/// Any thread. Manifests are read and opened with its lock not held.
final class BlockReuse: Sendable {
    /// A committed checkpoint whose blocks may be reused.
    private struct Source {
        let name: ManifestName
        /// By which its manifest is known.
        let hash: Hash128
        let segments: [SegmentReference]
        let blocks: [BlockRecord]
        /// Saves that reuse something of it.
        var holders = 0
        /// Nothing of it may be reused any more.
        var isRetired = false
    }

    private struct State {
        /// By number; nil once no save can refer to it any more.
        var sources: [Source?] = []
        var index = ChunkIndex()
        /// The segments that are known to be whole, once damage was found; nil before.
        var trusted: Set<SegmentName>?
        var isClosed = false
        var isHistoryRead = false

        /// Returns true if a chunk may be reused: it is not in a segment that may be damaged.
        func isTrusted(_ chunk: StoredChunk) -> Bool {
            guard let trusted else { return true }
            guard let source = sources[Int(chunk.source)] else { return false }
            return trusted.contains(source.segments[source.blocks[Int(chunk.block)].segment].name)
        }

        private func isUsable(_ chunk: StoredChunk) -> Bool {
            sources[Int(chunk.source)]?.isRetired == false
        }

        /// Makes room in the index; removes the oldest checkpoints when it would become too large.
        mutating func makeRoom(for chunks: Int, _ chunksMax: Int) {
            index.makeRoom(for: chunks, keep: isUsable)
            for oldest in sources.indices where index.count + chunks > chunksMax && sources[oldest]?.isRetired == false {
                sources[oldest]?.isRetired = true
                index.rebuild(for: chunks, keep: isUsable)
            }
            for number in sources.indices where sources[number]?.isRetired == true && sources[number]?.holders == 0 {
                sources[number] = nil
            }
        }
    }

    private let files: ManifestFiles
    private let chunksMax: Int
    private let state = Monitor(State())

    /// - Parameter chunksMax: bounds the index. The default is 64 MiB: with chunks of 4 MiB, 2 TiB of different content.
    init(files: ManifestFiles, chunksMax: Int = 1 << 19) {
        self.files = files
        self.chunksMax = chunksMax
    }

    var chunkCount: Int { state.withLock { $0.index.count } }
    func knows(_ hash: Hash128, bytes: Int) -> Bool { state.withLock { $0.index.find(hash, bytes: bytes) != nil } }

    // MARK: Knowing

    /// Adds a checkpoint.
    /// - Parameter isNewest: true to reuse shared chunks from this checkpoint from now on.
    func add(_ tables: Manifest.Tables, name: ManifestName, isNewest: Bool) {
        state.withLock { state in
            guard !state.sources.contains(where: { $0?.name == name }) else { return }
            // What this process has just written, and what it has reused.
            if isNewest { state.trusted?.formUnion(tables.segments.map(\.name)) }
            state.makeRoom(for: tables.chunks.count, chunksMax)
            let number = Int32(state.sources.count)
            state.sources.append(Source(name: name, hash: tables.hash, segments: tables.segments, blocks: tables.blocks))
            for chunk in tables.chunks where tables.blocks[chunk.block].base == nil {
                guard isNewest || state.index.find(chunk.hash, bytes: chunk.bytes) == nil else { continue }
                let stored = StoredChunk(source: number, block: Int32(chunk.block), offset: Int32(chunk.offset))
                state.index.insert(chunk.hash, bytes: chunk.bytes, as: stored)
            }
        }
    }

    /// Reads the manifests of earlier checkpoints, newest first, until the index is full. Unreadable
    /// manifests are skipped.
    func readHistory(_ names: some BidirectionalCollection<ManifestName>) {
        for name in names.reversed() {
            let isEnough = state.withLock { $0.isClosed || $0.index.count >= chunksMax }
            if isEnough { break }
            // Its chunks are written again.
            guard let tables = try? files.loadTables(name) else { continue }
            add(tables, name: name, isNewest: false)
        }
    }

    func finishHistory() { state.withLock { $0.isHistoryRead = true } }

    /// For tests: history is read in the background.
    func waitUntilHistoryIsRead() { state.waitFor { $0.isHistoryRead ? () : nil } }

    func close() { state.withLock { $0.isClosed = true } }

    // MARK: Reusing

    /// Returns the location of a chunk in the store. Its checkpoint must be held before it is used.
    func find(_ hash: Hash128, bytes: Int) -> StoredChunk? {
        state.withLock { state in
            state.index.find(hash, bytes: bytes).flatMap { state.isTrusted($0) ? $0 : nil }
        }
    }

    /// Keeps others from removing a checkpoint, until `release`.
    ///
    /// - Parameter number: number of the checkpoint.
    /// - Returns: its manifest, open; nil if it is gone or was changed.
    func hold(_ number: Int) -> (any ReadableFile)? {
        // Before the file is looked at, so that this process's own `retire` sees it.
        let source = state.withLock { state -> Source? in
            guard let source = state.sources[number], !source.isRetired else { return nil }
            state.sources[number]?.holders += 1
            return source
        }
        guard let source else { return nil }
        if let file = openIfSame(source) { return file }
        release(number)
        return nil
    }

    /// Returns the manifest, open and thereby locked against removal, if it still exists and is
    /// still the one that was read: both are checked after the lock is taken.
    private func openIfSame(_ source: Source) -> (any ReadableFile)? {
        let path = files.directories.path(of: source.name)
        // A manifest that was removed or changed is not a source.
        guard let file = try? files.fileSystem.hold(path), let found = try? files.hash(of: source.name), found == source.hash
        else { return nil }
        return file
    }

    /// Ends a hold.
    func release(_ number: Int) { state.withLock { $0.sources[number]?.holders -= 1 } }

    /// A block of a checkpoint that is held.
    func block(_ chunk: StoredChunk) -> (segment: SegmentReference, location: SegmentBlock) {
        state.withLock { state in
            guard let source = state.sources[Int(chunk.source)] else { preconditionFailure("a source that is not held") }
            let block = source.blocks[Int(chunk.block)]
            return (source.segments[block.segment], block.location)
        }
    }

    // MARK: Forgetting

    /// A checkpoint was found to be damaged: of what exists, only chunks in the segments of the one
    /// that was restored are reused from now on. Blocks of them that it does not use are not read.
    ///
    /// - Parameter segments: the segments of the checkpoint that was restored instead.
    func trust(only segments: [SegmentReference]) {
        state.withLock { $0.trusted = Set(segments.map(\.name)) }
    }

    /// Checkpoints that are going to be removed: nothing of them is reused from now on.
    /// - Returns: those that no save holds; the others stay.
    func retire(_ names: [ManifestName]) -> [ManifestName] {
        state.withLock { state in
            var free = names
            for index in state.sources.indices {
                guard let source = state.sources[index], names.contains(source.name) else { continue }
                if source.holders > 0 { free.removeAll { $0 == source.name } } else { state.sources[index]?.isRetired = true }
            }
            return free
        }
    }
}
