import CheckpointCodecs
import CheckpointFormat
import CheckpointSegments
import CheckpointStorage
import CheckpointTestSupport

/// Writes checkpoints of sharded tensors block by block, without an engine.
struct CheckpointMaker {
    let store: CheckpointStore
    private(set) var manifest: Manifest
    private let writer: SegmentWriter
    private let appender: BlockAppender
    private var placed: [PlacedBlock] = []
    private var random: SeededGenerator

    init(_ store: CheckpointStore, step: Int, rank: Int = 0, seed: UInt64) {
        self.store = store
        random = SeededGenerator(seed)
        manifest = Manifest(
            id: .random(), store: store.id, run: RunID(rawValue: 1 << 80), runName: "run",
            step: step, created: 1, writer: "test")
        manifest.groups = [.init(name: "state", epoch: 0)]
        writer = SegmentWriter(
            fileSystem: store.fileSystem, directories: store.directories, store: store.id,
            attempt: manifest.id, rank: rank)
        appender = BlockAppender(writer)
    }

    /// Writes bytes in blocks, each of one to three chunks of a few elements.
    private mutating func chunks(_ bytes: [UInt8], width: Int) throws -> Range<Int> {
        let first = manifest.chunks.count
        var start = 0
        while start < bytes.count {
            var lengths: [Int] = []
            var rest = bytes.count - start
            for _ in 0..<1 + random.below(3) where rest > 0 {
                lengths.append(min((1 + random.below(12)) * width, rest))
                rest -= lengths.last ?? 0
            }
            let raw = Array(bytes[start..<start + lengths.reduce(0, +)])
            let padded = roundedUpToPage(raw.count) - raw.count
            let memory = try OwnedBytes(raw + [UInt8](repeating: 0, count: padded))
            let encoded = BlockEncoder(.none).encode(
                memory.region, rawBytes: raw.count, spare: nil)
            placed.append(try appender.append(encoded.block, memory.region))
            var offset = 0
            for length in lengths {
                manifest.chunks.append(
                    ChunkRecord(
                        hash: Hashing.digest(raw[offset..<offset + length]),
                        block: placed.count - 1, offset: offset, bytes: length, epoch: 0))
                offset += length
            }
            start += raw.count
        }
        return first..<manifest.chunks.count
    }

    /// Adds a tensor as one box.
    mutating func add(whole tensor: TestTensor) throws {
        let chunks = try chunks(tensor.content, width: tensor.type.width)
        let box = ShardDescriptor(whole: tensor.sharding.shape)
        add(tensor, [ShardRecord(descriptor: box, chunks: chunks)])
    }

    /// Adds the shards that ranks save of a tensor.
    ///
    /// - Parameter rank: the only rank; nil means all.
    mutating func add(shardsOf tensor: TestTensor, rank: Int? = nil) throws {
        var shards: [ShardRecord] = []
        for (saver, pieces, bytes) in try tensor.saved() where rank ?? saver == saver {
            let chunks = try chunks(bytes, width: tensor.type.width)
            shards.append(ShardRecord(region: .pieces(pieces), chunks: chunks))
        }
        add(tensor, shards)
    }

    private mutating func add(_ tensor: TestTensor, _ shards: [ShardRecord]) {
        manifest.tensors.append(
            TensorRecord(
                name: tensor.name, type: tensor.type, shape: tensor.sharding.shape,
                role: .parameter, group: 0, shards: shards))
    }

    /// Makes the checkpoint's blocks durable and its manifest complete.
    mutating func seal() throws -> Manifest {
        var table = BlockTable(try writer.seal())
        for block in placed { _ = table.add(block) }
        (manifest.segments, manifest.blocks) = (table.segments, table.blocks)
        return manifest
    }

    /// Commits the checkpoint.
    mutating func commit() throws {
        let manifest = try seal()
        let commit = CommitProtocol(
            fileSystem: store.fileSystem, directories: store.directories, catalog: store.catalog)
        try commit.publish(manifest, writer)
    }
}
