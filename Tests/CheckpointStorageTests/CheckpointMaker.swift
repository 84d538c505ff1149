import CheckpointCodecs
import CheckpointFormat
import CheckpointIO
import CheckpointSegments
import CheckpointSharding
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

    init(_ store: CheckpointStore, step: Int, seed: UInt64) {
        self.init(store, step: step, rank: 0, of: 1, attempt: .random(), seed: seed)
    }

    /// Begins the part of one of several ranks.
    init(
        _ store: CheckpointStore, on fileSystem: (any FileSystem)? = nil, step: Int, rank: Int,
        of worldSize: Int, attempt: CheckpointID, seed: UInt64
    ) {
        self.store = store
        random = SeededGenerator(seed)
        manifest = Manifest(
            id: attempt, store: store.id, run: RunID(rawValue: 1 << 80), runName: "run",
            step: step, created: 1, writer: "test")
        (manifest.worldSize, manifest.rank) = (worldSize, rank)
        if worldSize > 1 { manifest.kind = .part }
        manifest.groups = [.init(name: "state", epoch: 0)]
        writer = SegmentWriter(
            fileSystem: fileSystem ?? store.fileSystem, directories: store.directories,
            store: store.id, attempt: manifest.id, rank: rank)
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
            var parts: [[UInt8]] = []
            for length in lengths {
                parts.append(Array(bytes[start..<start + length]))
                start += length
            }
            try addBlock(parts)
        }
        return first..<manifest.chunks.count
    }

    /// Writes a block of several chunks.
    private mutating func addBlock(_ parts: [[UInt8]]) throws {
        let raw = Array(parts.joined())
        let padded = roundedUpToPage(raw.count) - raw.count
        let memory = try OwnedBytes(raw + [UInt8](repeating: 0, count: padded))
        let encoded = BlockEncoder(.none).encode(memory.region, rawBytes: raw.count, spare: nil)
        placed.append(try appender.append(encoded.block, memory.region))
        var offset = 0
        for part in parts {
            manifest.chunks.append(
                ChunkRecord(
                    hash: Hashing.digest(part[...]), block: placed.count - 1, offset: offset,
                    bytes: part.count, epoch: 0))
            offset += part.count
        }
    }

    /// Adds a tensor as one box.
    ///
    /// - Parameter unit: what the size of a chunk is a multiple of; nil means an element.
    mutating func add(whole tensor: TestTensor, unit: Int? = nil) throws {
        let chunks = try chunks(tensor.content, width: unit ?? tensor.type.width)
        let box = ShardDescriptor(whole: tensor.shape)
        add(tensor, [ShardRecord(descriptor: box, chunks: chunks)])
    }

    /// Adds the shards that ranks save of a tensor.
    ///
    /// - Parameter rank: the only rank; nil means all.
    mutating func add(
        shardsOf tensor: TestTensor, rank: Int? = nil, asBoxes: Bool = false
    ) throws {
        var shards: [ShardRecord] = []
        for (saver, pieces, bytes) in try tensor.saved() where rank ?? saver == saver {
            let chunks = try chunks(bytes, width: tensor.type.width)
            let box = asBoxes && pieces.count == 1 ? box(pieces[0], of: tensor) : nil
            let region = box.map { ShardRegion.box($0) } ?? .pieces(pieces)
            shards.append(ShardRecord(region: region, chunks: chunks))
        }
        add(tensor, shards)
    }

    /// Returns the box of a piece; nil if it is none, or not in row-major order.
    private func box(_ piece: ShardPiece, of tensor: TestTensor) -> ShardDescriptor? {
        let order = positions(piece.elements)
        return order == order.sorted() ? ShardDescriptor(piece.elements, in: tensor.shape) : nil
    }

    /// Adds what one rank holds of a tensor, copies of other ranks' pieces included.
    mutating func add(heldOf tensor: TestTensor, rank: Int) throws {
        let held = try tensor.shardings.flatMap { try $0.shard(of: rank, in: tensor.mesh).pieces }
        var (shards, seen) = ([ShardRecord](), Set<StridedElements>())
        // A rank may hold a piece twice, as when several of its heads share their keys.
        for held in held where seen.insert(held.elements.normalized).inserted {
            let piece = ShardPiece(shape: held.shape, offset: held.offset, strides: held.strides)
            let bytes = positions(piece.elements).flatMap {
                tensor.content[$0 * tensor.type.width..<($0 + 1) * tensor.type.width]
            }
            // In one chunk, so that copies can be compared.
            let first = manifest.chunks.count
            try addBlock([bytes])
            shards.append(
                ShardRecord(region: .pieces([piece]), chunks: first..<manifest.chunks.count))
        }
        add(tensor, shards)
    }

    /// Adds an object.
    mutating func add(object name: String, _ bytes: [UInt8]) throws {
        let first = manifest.chunks.count
        try addBlock([bytes])
        manifest.objects.append(
            ObjectRecord(
                name: name, role: .other, encoding: .bytes, bytes: bytes.count,
                chunks: first..<manifest.chunks.count))
    }

    /// Changes the header of the manifest.
    mutating func change(_ body: (inout Manifest) -> Void) { body(&manifest) }

    private mutating func add(_ tensor: TestTensor, _ shards: [ShardRecord]) {
        manifest.tensors.append(
            TensorRecord(
                name: tensor.name, type: tensor.type, shape: tensor.shape,
                role: .parameter, group: 0, shards: shards))
    }

    /// Makes the checkpoint's blocks durable and its manifest complete.
    mutating func seal() throws -> (manifest: Manifest, sealed: SealedSegments) {
        let sealed = try writer.seal()
        var table = BlockTable(sealed.references)
        for block in placed { _ = table.add(block) }
        (manifest.segments, manifest.blocks) = (table.segments, table.blocks)
        return (manifest, sealed)
    }

    /// Commits the checkpoint.
    mutating func commit() throws {
        let (manifest, sealed) = try seal()
        let commit = CommitProtocol(
            fileSystem: store.fileSystem, directories: store.directories, catalog: store.catalog)
        try commit.publish(manifest, of: sealed)
    }
}
