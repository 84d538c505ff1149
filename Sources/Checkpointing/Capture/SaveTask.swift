internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointState
internal import CheckpointStorage

/// One save in flight: the state to capture, where its blocks go, and the actions on one block.
///
/// `capture`, `encode` and `write` are each called once for a block, on threads of the pipeline;
/// `capture` also on the trainer's at a fence, and on the guard's before a write that it holds. A
/// block's results pass from one to the next as values.
final class SaveTask: Sendable {
    /// The state to save.
    struct Content {
        /// The manifest without tensors, objects and tables.
        var header: Manifest
        var planned: PlannedState
        var inventory: StateInventory
        var frozenObjects: [FrozenObject]
        /// The page protection of guarded capture; nil in the other modes.
        var guarding: (any PageGuarding)?
    }

    /// The destination of the save's blocks.
    struct Output {
        var writer: SegmentWriter
        var encoder: BlockEncoder
        /// The choice of the encoder's level, if the engine made it.
        var choice: LevelChoice?
        /// Nil if every chunk is written.
        var reuse: SaveReuse?
        /// The commit of several ranks; nil if this process saves alone.
        var commit: RankCommit?
        /// Estimate of the bytes that the save adds to the store.
        var expectedBytes: Int
    }

    let content: Content
    let output: Output
    let ticket: SaveTicket
    /// The time at which `save` was called.
    let called: ContinuousClock.Instant
    /// The captured chunks. Any thread that captures; at the end that which commits.
    let chunks: Monitor<CapturedChunks>
    let timing = Monitor(SaveTiming(), rank: .save)

    var header: Manifest { content.header }
    var planned: PlannedState { content.planned }
    var plan: CapturePlan { content.planned.plan }
    var inventory: StateInventory { content.inventory }
    var frozenObjects: [FrozenObject] { content.frozenObjects }
    var guarding: (any PageGuarding)? { content.guarding }
    var writer: SegmentWriter { output.writer }
    var encoder: BlockEncoder { output.encoder }
    var reuse: SaveReuse? { output.reuse }

    init(
        _ content: Content, to output: Output, ticket: SaveTicket,
        called: ContinuousClock.Instant
    ) {
        self.content = content
        self.output = output
        self.ticket = ticket
        self.called = called
        chunks = Monitor(
            CapturedChunks(content.planned.plan, isReusing: output.reuse != nil), rank: .save)
    }

    var age: Duration { .now - called }

    /// Estimates the free space that the save still needs, in bytes.
    ///
    /// - Parameter progress: the results so far. Spare files that it writes over have their space.
    func neededBytes(after progress: SaveProgress) -> Int {
        let rest = max(plan.totalBytes - progress.bytes.written, 0)
        let share = Double(rest) / Double(max(plan.totalBytes, 1))
        let spare = max(writer.recycledBytes - progress.observation.writtenBytes, 0)
        return max(Int(Double(output.expectedBytes) * share) - spare, 0)
    }

    // MARK: Capturing

    /// A chunk that was captured and is not entered in `chunks` yet.
    private struct Found {
        var row: Int
        var hash: Hash128
        var content: CapturedChunks.Content?
    }

    /// Copies a block from the trainer's memory to `slot`, hashing each of its chunks in the same
    /// pass, and leaves in the slot only the bytes that the store does not have.
    ///
    /// - Throws: `DeviceError`, errors of the provider's memory.
    func capture(_ index: BlockIndex, to slot: MemoryRegion) throws -> CapturedBlock {
        let rows = plan[block: index].chunks
        // The last chunk is entered together with the block, which saves a lock for most blocks.
        for row in rows.dropLast() {
            let found = try capture(row, to: slot)
            chunks.withLock { $0.enter(found.row, found.hash, found.content) }
        }
        let last = try rows.last.map { try capture($0, to: slot) }
        guarding?.captured(index)
        let (captured, moves) = chunks.withLock { chunks in
            if let last { chunks.enter(last.row, last.hash, last.content) }
            return chunks.finish(index, planned)
        }
        for (from, to) in moves { slot.move(from, to: to) }
        return captured
    }

    private func capture(_ row: Int, to slot: MemoryRegion) throws -> Found {
        let chunk = plan.chunks[row]
        let isReplica = planned.isReplica[chunk.tensor]
        if guarding == nil {
            let found = isReplica ? hashInPlace(row) : findCast(row) ?? findInPlace(row)
            if let found { return found }
        }
        let region = slot[chunk.offset..<chunk.offset + chunk.range.count]
        var hash = try inventory.tensors[chunk.tensor].view.capture(chunk.range, to: region)
        if let guarding, guarding.restoreFrozen(row, in: region) { hash = region.hash128 }
        if isReplica { return Found(row: row, hash: hash, content: .replica) }
        let stored = reuse?.find(hash, bytes: region.count)
        return Found(row: row, hash: hash, content: stored.map { .inStore($0) })
    }

    /// Hashes a chunk that another rank saves, in the trainer's memory.
    private func hashInPlace(_ row: Int) -> Found? {
        let chunk = plan.chunks[row]
        return inventory.tensors[chunk.tensor].view.hash(chunk.range).map {
            Found(row: row, hash: $0, content: .replica)
        }
    }

    /// Looks a chunk up by the hash of the trainer's memory, which saves the copy.
    private func findInPlace(_ row: Int) -> Found? {
        let chunk = plan.chunks[row]
        guard let reuse, reuse.isLikelyStored(row),
            chunk.range.count >= CapturedChunks.reusedBytesMin,
            let hash = inventory.tensors[chunk.tensor].view.hash(chunk.range),
            let stored = reuse.find(hash, bytes: chunk.range.count)
        else { return nil }
        return Found(row: row, hash: hash, content: .inStore(stored))
    }

    /// Finds the chunk of another tensor that a chunk is the cast of, bit for bit. Both tensors are
    /// in one group, so the other one stays as it is at least until this chunk is captured.
    private func findCast(_ row: Int) -> Found? {
        let chunk = plan.chunks[row]
        let sources = planned.castSources[chunk.tensor]
        let view = inventory.tensors[chunk.tensor].view
        guard !sources.isEmpty, chunk.range.count >= CapturedChunks.castBytesMin,
            let codec = CastCodec.identifier(view.type),
            let elements = view.contiguousRegion(chunk.range)
        else { return nil }
        for source in sources where !planned.isReplica[source] {
            guard let wide = plan.wideChunk(of: row, in: source),
                let region = inventory.tensors[source].view.contiguousRegion(
                    plan.chunks[wide].range),
                CastCodec.isCast(elements, of: region, codec)
            else { continue }
            return Found(row: row, hash: elements.hash128, content: .cast(row: wide))
        }
        return nil
    }

    // MARK: Encoding and writing

    /// Encodes the captured part of a block.
    ///
    /// - Parameters:
    ///   - slot: memory that begins with that part.
    ///   - spare: as large as the slot, or nil.
    /// - Returns: the block, and true if it is in `spare` now.
    func encode(
        _ index: BlockIndex, _ captured: CapturedBlock, in slot: MemoryRegion,
        spare: MemoryRegion?
    ) -> (block: EncodedBlock, isInSpare: Bool) {
        let runs = captured.runs ?? planned.runs[index.rawValue]
        return planned.withCodecMemory(index) { memory in
            encoder.encode(
                slot, rawBytes: captured.rawBytes, runs: runs, memory: &memory,
                contentHash: captured.contentHash, spare: spare)
        }
    }

    /// Writes an encoded block, on the thread of the writer or that of the objects.
    ///
    /// - Throws: `SegmentError`; `CheckpointError` if a save of several ranks cannot begin.
    func write(_ block: PlacedBlock, from slot: MemoryRegion) throws {
        try output.commit?.beginOnce()
        try writer.write(slot, as: block)
    }
}
