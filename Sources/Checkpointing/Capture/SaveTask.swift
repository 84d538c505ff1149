internal import CheckpointStorage
internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointState

/// One save in flight: the state to capture, and the result of each block so far.
final class SaveTask: Sendable {
    struct Results {
        var chunks: CapturedChunks
        var encoded: [EncodedBlock?]
        var places: [(segment: Int, location: SegmentBlock)?]
        var objectBlocks: [(segment: Int, location: SegmentBlock)] = []
        /// Their blocks are numbered among `objectBlocks`.
        var objectChunks: [ChunkRecord] = []
        var objects: [ObjectRecord] = []
        var writtenBytes = 0
        var liveBytes = 0
        var fencedBytes = 0
        var timeToCaptured = Duration.zero
        var timeToDurable = Duration.zero
        var stall = StallMeter()
        /// In use so far, when the save ended.
        var arenaHighWaterBytes = 0
        var observation: EncodingObservation
    }

    /// The state to save.
    struct Content {
        /// The manifest without tensors, objects and tables.
        var header: Manifest
        var planned: PlannedState
        var inventory: StateInventory
        var frozenObjects: [FrozenObject]
    }

    /// The destination of the save's blocks.
    struct Output {
        var writer: SegmentWriter
        var encoder: BlockEncoder
        /// The reason for the encoder's level, if the engine chose it.
        var levelReason: String?
    }

    /// The blocks of earlier checkpoints that the save may reuse.
    struct Dedup {
        var reuse: BlockReuse
        var holds: HeldSources
        /// Chunks that the last save of the same plan found in the store; empty if unknown.
        var likelyStored: [Bool]

        init(_ reuse: BlockReuse, likelyStored: [Bool]) {
            self.reuse = reuse
            self.likelyStored = likelyStored
            holds = HeldSources(reuse)
        }
    }

    let content: Content
    let output: Output
    /// Nil if every chunk is written.
    let dedup: Dedup?
    /// The page protection of guarded capture; nil in the other modes.
    let guarding: (any PageGuarding)?
    let ticket: SaveTicket
    let started: ContinuousClock.Instant
    let results: Monitor<Results>

    var header: Manifest { content.header }
    var planned: PlannedState { content.planned }
    var plan: CapturePlan { content.planned.plan }
    var inventory: StateInventory { content.inventory }
    var frozenObjects: [FrozenObject] { content.frozenObjects }
    var writer: SegmentWriter { output.writer }
    var encoder: BlockEncoder { output.encoder }

    init(
        _ content: Content, to output: Output, dedup: Dedup?, guarding: (any PageGuarding)?,
        ticket: SaveTicket, started: ContinuousClock.Instant
    ) {
        self.content = content
        self.output = output
        self.dedup = dedup
        self.guarding = guarding
        self.ticket = ticket
        self.started = started
        let plan = content.planned.plan
        results = Monitor(
            Results(
                chunks: CapturedChunks(plan, isReusing: dedup != nil),
                encoded: .init(repeating: nil, count: plan.blocks.count),
                places: .init(repeating: nil, count: plan.blocks.count),
                observation: EncodingObservation(level: output.encoder.compression)))
    }

    /// Ends the hold on blocks of earlier checkpoints: retention may remove them again.
    func endDedup() { dedup?.holds.end() }

    /// Chunks that were found in the store.
    var storedChunks: [Bool] { results.withLock { $0.chunks.areStored } }

    var age: Duration { .now - started }

    /// Copies block `index` from the trainer's memory to `slot`, hashing each of its chunks on the way, and leaves in the slot only what
    /// the store does not have.
    /// - Returns: how many bytes that is.
    func capture(_ index: Int, to slot: MemoryRegion, isFenced: Bool) throws -> Int {
        let block = plan.blocks[index]
        for row in block.chunks {
            let chunk = plan.chunks[row]
            if guarding == nil, findCast(row) || (isLikelyStored(row) && findUncopied(row)) { continue }
            let region = slot[chunk.offset..<chunk.offset + chunk.range.count]
            var hash = try inventory.tensors[chunk.tensor].view.capture(chunk.range, to: region)
            if let guarding, guarding.restoreFrozen(row, in: region) { hash = region.hash128 }
            let place = dedup.flatMap { $0.reuse.find(hash, bytes: region.count, $0.holds) }
            results.withLock { $0.chunks.captured(row, hash, place: place) }
        }
        guarding?.captured(index)
        let rawBytes = results.withLock { results in
            if isFenced { results.fencedBytes += block.bytes } else { results.liveBytes += block.bytes }
            results.chunks.settle(index)
            if results.chunks.rawBytes[index] == 0 { results.writtenBytes += block.bytes }
            return results.chunks.rawBytes[index]
        }
        if rawBytes < block.bytes { compact(index, in: slot) }
        return rawBytes
    }

    private func isLikelyStored(_ row: Int) -> Bool {
        guard let likely = dedup?.likelyStored, row < likely.count else { return false }
        return likely[row]
    }

    /// Looks a chunk up by the hash of what is in the trainer's memory, which spares the copy.
    private func findUncopied(_ row: Int) -> Bool {
        let chunk = plan.chunks[row]
        guard let dedup, chunk.range.count >= CapturedChunks.reusedBytesMin,
            let hash = inventory.tensors[chunk.tensor].view.hash(chunk.range),
            let place = dedup.reuse.find(hash, bytes: chunk.range.count, dedup.holds)
        else { return false }
        results.withLock { $0.chunks.captured(row, hash, place: place) }
        return true
    }

    /// Whether a chunk is, bit for bit, the cast of one of another tensor. That one's group is the same, and so it stays as it is at least
    /// until this chunk is captured.
    private func findCast(_ row: Int) -> Bool {
        let chunk = plan.chunks[row]
        let sources = planned.castSources[chunk.tensor]
        let view = inventory.tensors[chunk.tensor].view
        guard !sources.isEmpty, chunk.range.count >= CapturedChunks.castBytesMin, let codec = CastCodec.identifier(view.type),
            let elements = view.contiguousRegion(chunk.range)
        else { return false }
        for source in sources {
            guard let wide = plan.wideChunk(of: row, in: source),
                let region = inventory.tensors[source].view.contiguousRegion(plan.chunks[wide].range),
                CastCodec.isCast(elements, of: region, codec)
            else { continue }
            let hash = elements.hash128
            results.withLock { $0.chunks.captured(row, hash, castOf: wide) }
            return true
        }
        return false
    }

    /// Moves the chunks that are to be stored to the front.
    private func compact(_ index: Int, in slot: MemoryRegion) {
        for row in plan.blocks[index].chunks {
            let chunk = plan.chunks[row]
            guard case .own(let offset) = results.withLock({ $0.chunks.contents[row] }) else { continue }
            slot.move(chunk.offset..<chunk.offset + chunk.range.count, to: offset)
        }
    }

    /// Bytes of the state that are stored, or need not be.
    var writtenBytes: Int { results.withLock { $0.writtenBytes } }

    /// Encodes the chunks of block `index` that the store does not have, from `slot`.
    /// - Parameter spare: as large as the slot, or nil.
    /// - Returns: the stored size, and whether the block is in `spare` now.
    func encode(_ index: Int, in slot: MemoryRegion, spare: MemoryRegion?) -> (storedBytes: Int, isInSpare: Bool) {
        let block = plan.blocks[index]
        let (hash, rawBytes) = results.withLock { results in
            (block.chunks.count == 1 ? results.chunks.hashes[block.chunks.lowerBound] : nil, results.chunks.rawBytes[index])
        }
        let runs = rawBytes == block.bytes ? planned.runs[index] : remainingRuns(index)
        let began = ContinuousClock.now
        let (encoded, isInSpare) = planned.memories.use(index) { memory in
            encoder.encode(slot, rawBytes: rawBytes, runs: runs, memory: &memory, contentHash: hash, spare: spare)
        }
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        results.withLock { results in
            results.encoded[index] = encoded
            results.observation.rawBytes += encoded.rawBytes
            results.observation.storedBytes += encoded.storedBytes
            results.observation.encodeSeconds += seconds
        }
        return (encoded.storedBytes, isInSpare)
    }

    /// What is left of a block of which the store has a part.
    private func remainingRuns(_ index: Int) -> [ElementRun] {
        results.withLock { results in
            zip(plan.blocks[index].chunks, planned.runs[index]).compactMap { row, run in
                if case .own = results.chunks.contents[row] { run } else { nil }
            }
        }
    }

    /// Writes the encoded block `index` from `slot`.
    /// - Returns: bytes of the state written so far.
    func write(_ index: Int, from slot: MemoryRegion, at place: SegmentLayout.Place) throws -> Int {
        guard let block = results.withLock({ $0.encoded[index] }) else { preconditionFailure("block \(index) is not encoded") }
        let began = ContinuousClock.now
        let location = try writer.write(slot, block: block, at: place)
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        return results.withLock { results in
            results.places[index] = (place.segment, location)
            results.observation.writtenBytes += block.storedBytes
            results.observation.writeSeconds += seconds
            results.writtenBytes += plan.blocks[index].bytes
            return results.writtenBytes
        }
    }

    /// The manifest, once every block is written and every segment sealed.
    func manifest(_ segments: [SegmentReference]) -> Manifest {
        var builder = ManifestBuilder(self, results.withLock { $0 }, segments)
        return builder.manifest()
    }

    var observation: EncodingObservation { results.withLock { $0.observation } }

    func report(_ manifest: Manifest, isUnchanged: Bool) -> SaveReport {
        results.withLock { results in
            let stall = results.stall.report(at: .now)
            return SaveReport(
                step: manifest.step, id: manifest.id, logicalBytes: manifest.logicalBytes,
                storedBytes: manifest.storedBytes, newBytes: newBytes(results), reusedBytes: results.chunks.reusedBytes,
                derivedBytes: results.chunks.castBytes,
                compression: encoder.compression, compressionReason: output.levelReason,
                liveBytes: results.liveBytes, fencedBytes: results.fencedBytes,
                timeToCaptured: results.timeToCaptured, timeToDurable: results.timeToDurable,
                timeToCommitted: age, isUnchanged: isUnchanged, stallSubmit: stall.submit, stallFence: stall.fence,
                stallBackpressure: stall.backpressure, arenaHighWaterBytes: results.arenaHighWaterBytes)
        }
    }

    private func newBytes(_ results: Results) -> Int {
        (results.places.compactMap { $0 } + results.objectBlocks).reduce(0) { $0 + $1.location.storedBytes }
    }
}
