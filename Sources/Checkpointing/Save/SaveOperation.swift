internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointState

/// One save in flight: what is to be captured, and what has become of each block so far.
final class SaveOperation: Sendable {
    struct Results {
        var hashes: [Hash128]
        var places: [(segment: Int, location: SegmentBlock)?]
        var objectBlocks: [(segment: Int, location: SegmentBlock)] = []
        var objectChunks: [ChunkRecord] = []
        var objects: [ObjectRecord] = []
        var writtenBytes = 0
        var liveBytes = 0
        var fencedBytes = 0
        var timeToCaptured = Duration.zero
        var timeToDurable = Duration.zero
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
                places: .init(repeating: nil, count: plan.blocks.count)))
    }

    var age: Duration { .now - started }

    /// Copies block `index` from the trainer's memory to `slot`, hashing each of its chunks on the way.
    func capture(_ index: Int, to slot: MemoryRegion, isFenced: Bool) {
        let block = plan.blocks[index]
        let hashes = block.chunks.map { row in
            let chunk = plan.chunks[row]
            return inventory.tensors[chunk.tensor].view.capture(
                chunk.range, to: slot[chunk.offset..<chunk.offset + chunk.range.count])
        }
        results.withLock { results in
            for (row, hash) in zip(block.chunks, hashes) { results.hashes[row] = hash }
            if isFenced { results.fencedBytes += block.bytes } else { results.liveBytes += block.bytes }
        }
    }

    /// - Returns: bytes written so far.
    func recordWritten(_ index: Int, segment: Int, _ location: SegmentBlock) -> Int {
        results.withLock { results in
            results.places[index] = (segment, location)
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
                    epoch: header.groups[plan.blocks[chunk.block].group].epoch)
            } + results.objectChunks
            manifest.objects = results.objects
            return manifest
        }
    }

    func report(_ manifest: Manifest, isUnchanged: Bool) -> SaveReport {
        results.withLock { results in
            SaveReport(
                step: manifest.step, id: manifest.id, logicalBytes: manifest.logicalBytes,
                storedBytes: manifest.storedBytes, liveBytes: results.liveBytes, fencedBytes: results.fencedBytes,
                timeToCaptured: results.timeToCaptured, timeToDurable: results.timeToDurable,
                timeToCommitted: age, isUnchanged: isUnchanged)
        }
    }
}
