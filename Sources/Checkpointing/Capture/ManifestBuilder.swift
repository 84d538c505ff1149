internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointState
internal import CheckpointStorage

/// The manifest of one save, put together from the results of its blocks.
///
/// Called once, on the committing thread, when every block is written and every segment sealed.
struct ManifestBuilder {
    private let task: SaveTask
    private let progress: SaveProgress
    private let captured: CapturedChunks
    private var table: BlockTable
    /// Rows of the blocks that this save has written, by block; and those of objects.
    private let rows: [Int?]
    private let objectRows: [Int]

    /// - Parameters:
    ///   - progress: results of `task`, which no thread changes any more.
    ///   - segments: the sealed segments of the save.
    init(_ task: SaveTask, _ progress: SaveProgress, _ segments: [SegmentReference]) {
        self.task = task
        self.progress = progress
        captured = task.chunks.withLock { $0 }
        var table = BlockTable(segments)
        rows = progress.blocks.map { block in block.map { table.add($0) } }
        objectRows = progress.objects.blocks.map { table.add($0) }
        self.table = table
    }

    mutating func manifest() -> Manifest {
        var manifest = task.header
        manifest.tensors = directory()
        manifest.objects = progress.objects.records
        var chunks: [ChunkRecord] = []
        for row in task.plan.chunks.indices
        where !task.planned.isReplica[task.plan.chunks[row].tensor] { chunks.append(chunk(row)) }
        manifest.chunks =
            chunks
            + progress.objects.chunks.map { chunk in
                var chunk = chunk
                chunk.block = objectRows[chunk.block]
                return chunk
            }
        (manifest.segments, manifest.blocks) = (table.segments, table.blocks)
        return manifest
    }

    /// The tensor directory: of one rank that holds everything, or of one of several.
    private func directory() -> [TensorRecord] {
        let plan = task.plan
        var records: [TensorRecord] = []
        /// Number of the record of each tensor that is declared as shards.
        var numbers: [ByteName: Int] = [:]
        for (index, item) in task.inventory.tensors.enumerated() {
            let rows = plan.chunksOfTensor[index]
            let chunks = task.planned.savedRows(rows)
            if task.output.commit == nil, item.shard == nil {
                let whole = ShardDescriptor(whole: item.shape)
                records.append(record(index, [ShardRecord(descriptor: whole, chunks: chunks)]))
                continue
            }
            let name = ByteName(item.name)
            let number = numbers[name] ?? records.count
            if number == records.count {
                numbers[name] = number
                records.append(record(index, []))
            }
            guard let region = item.region else { continue }
            if task.planned.isReplica[index] {
                records[number].copies.append(copy(region, rows))
            } else {
                records[number].shards.append(ShardRecord(region: region, chunks: chunks))
            }
        }
        return records
    }

    private func copy(_ region: ShardRegion, _ rows: Range<Int>) -> CopyRecord {
        CopyRecord(
            region: region,
            chunks: rows.map { row in
                CopyRecord.Chunk(
                    bytes: task.plan.chunks[row].range.count, hash: captured.hashes[row])
            })
    }

    private func record(_ index: Int, _ shards: [ShardRecord]) -> TensorRecord {
        let item = task.inventory.tensors[index]
        return TensorRecord(
            name: item.name, type: item.view.type, shape: item.shape, role: item.role,
            group: task.plan.groupOfTensor[index].rawValue, shards: shards)
    }

    private mutating func chunk(_ row: Int) -> ChunkRecord {
        let chunk = task.plan.chunks[row]
        let (block, offset) = location(of: row)
        return ChunkRecord(
            hash: captured.hashes[row], block: block, offset: offset,
            bytes: chunk.range.count,
            epoch: task.header.groups[task.plan.groupOfTensor[chunk.tensor].rawValue].epoch)
    }

    /// The row of the block that holds a chunk, and the chunk's offset in the block's raw bytes.
    private mutating func location(of row: Int) -> (block: Int, offset: Int) {
        let chunk = task.plan.chunks[row]
        switch captured.contents[row] {
        case .own(let offset):
            guard let block = rows[chunk.block] else {
                preconditionFailure("a block was not written")
            }
            return (block, offset)
        case .inStore(let stored):
            guard let block = task.reuse?.block(stored) else {
                preconditionFailure("nothing is reused")
            }
            return (table.add(block.location, of: block.segment), Int(stored.offset))
        case .same(let first): return location(of: first)
        case .replica: preconditionFailure("another rank saves it")
        case .cast(let source):
            let type = task.inventory.tensors[chunk.tensor].view.type
            guard let codec = CastCodec.identifier(type) else { preconditionFailure("no cast") }
            let (base, offset) = location(of: source)
            return (table.addCast(codec, rawBytes: chunk.range.count, of: base, at: offset), 0)
        }
    }
}
