internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointState

/// One save in flight: what is to be captured, and what has become of each block so far.
final class SaveOperation: Sendable {
    struct Results {
        var hashes: [Hash128]
        var encoded: [EncodedBlock?]
        var places: [(segment: Int, location: SegmentBlock)?]
        var objectBlocks: [(segment: Int, location: SegmentBlock)] = []
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
    }

    let header: Manifest
    let plan: CapturePlan
    let inventory: StateInventory
    let frozenObjects: [FrozenObject]
    let writer: SegmentWriter
    let encoder: BlockEncoder
    let ticket: SaveTicket
    let started: ContinuousClock.Instant
    let results: Monitor<Results>
    private let guarding = Monitor<GuardedCapture?>(nil)

    /// What protects the state while this save captures it, if anything does.
    var protection: GuardedCapture? {
        get { guarding.withLock { $0 } }
        set { guarding.withLock { $0 = newValue } }
    }

    init(
        header: Manifest, plan: CapturePlan, inventory: StateInventory,
        frozenObjects: [FrozenObject], writer: SegmentWriter, encoder: BlockEncoder, ticket: SaveTicket,
        started: ContinuousClock.Instant
    ) {
        self.header = header
        self.plan = plan
        self.inventory = inventory
        self.frozenObjects = frozenObjects
        self.writer = writer
        self.encoder = encoder
        self.ticket = ticket
        self.started = started
        results = Monitor(
            Results(
                hashes: [Hash128](repeating: Hash128(rawValue: 0), count: plan.chunks.count),
                encoded: .init(repeating: nil, count: plan.blocks.count),
                places: .init(repeating: nil, count: plan.blocks.count)))
    }

    var age: Duration { .now - started }

    /// Copies block `index` from the trainer's memory to `slot`, hashing each of its chunks on the way.
    func capture(_ index: Int, to slot: MemoryRegion, isFenced: Bool) throws {
        let block = plan.blocks[index]
        let protection = protection
        for row in block.chunks {
            let chunk = plan.chunks[row]
            let region = slot[chunk.offset..<chunk.offset + chunk.range.count]
            var hash = try inventory.tensors[chunk.tensor].view.capture(chunk.range, to: region)
            if let protection, protection.restoreFrozen(row, in: region) { hash = region.hash128 }
            results.withLock { $0.hashes[row] = hash }
        }
        protection?.captured(index)
        results.withLock { results in
            if isFenced { results.fencedBytes += block.bytes } else { results.liveBytes += block.bytes }
        }
    }

    /// Encodes block `index`, which lies in `slot`.
    /// - Parameter spare: as large as the slot, or nil.
    /// - Returns: the stored size, and whether the block now lies in `spare`.
    func encode(_ index: Int, in slot: MemoryRegion, spare: MemoryRegion?) -> (storedBytes: Int, isInSpare: Bool) {
        let block = plan.blocks[index]
        let hash = block.chunks.count == 1 ? results.withLock { $0.hashes[block.chunks.lowerBound] } : nil
        let (encoded, isInSpare) = encoder.encode(slot, rawBytes: block.bytes, contentHash: hash, spare: spare)
        results.withLock { $0.encoded[index] = encoded }
        return (encoded.storedBytes, isInSpare)
    }

    /// Writes block `index`, which lies encoded in `slot`.
    /// - Returns: bytes of the state written so far.
    func write(_ index: Int, from slot: MemoryRegion, at place: SegmentLayout.Place) throws -> Int {
        guard let block = results.withLock({ $0.encoded[index] }) else { preconditionFailure("block \(index) is not encoded") }
        let location = try writer.write(slot, block: block, at: place)
        return results.withLock { results in
            results.places[index] = (place.segment, location)
            results.writtenBytes += plan.blocks[index].bytes
            return results.writtenBytes
        }
    }

    /// The manifest, once every block is written and every segment sealed.
    func manifest(_ segments: [SegmentReference]) -> Manifest {
        results.withLock { results in
            var manifest = header
            manifest.tensors = TensorRecord.directory(inventory.tensors, plan)
            manifest.segments = segments
            manifest.blocks = (results.places.compactMap { $0 } + results.objectBlocks).map {
                BlockRecord(segment: $0.segment, location: $0.location)
            }
            precondition(manifest.blocks.count == plan.blocks.count + results.objectBlocks.count, "a block was not written")
            manifest.chunks = zip(plan.chunks, results.hashes).map { chunk, hash in
                ChunkRecord(
                    hash: hash, block: chunk.block, offset: chunk.offset, bytes: chunk.range.count,
                    epoch: header.groups[plan.groupOfTensor[chunk.tensor]].epoch)
            } + results.objectChunks
            manifest.objects = results.objects
            return manifest
        }
    }

    func report(_ manifest: Manifest, isUnchanged: Bool) -> SaveReport {
        results.withLock { results in
            let stall = results.stall.report(at: .now)
            return SaveReport(
                step: manifest.step, id: manifest.id, logicalBytes: manifest.logicalBytes,
                storedBytes: manifest.storedBytes, liveBytes: results.liveBytes, fencedBytes: results.fencedBytes,
                timeToCaptured: results.timeToCaptured, timeToDurable: results.timeToDurable,
                timeToCommitted: age, isUnchanged: isUnchanged, stallSubmit: stall.submit, stallFence: stall.fence,
                stallBackpressure: stall.backpressure, arenaHighWaterBytes: results.arenaHighWaterBytes)
        }
    }
}
