import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport

/// Manifests that obey every rule, with arbitrary content.
struct RandomManifest {
    private var random: SeededGenerator
    private var manifest: Manifest

    static func make(_ seed: UInt64) -> Manifest {
        var maker = RandomManifest(seed)
        maker.addTables()
        maker.addTensors()
        maker.addObjects()
        return maker.manifest
    }

    private init(_ seed: UInt64) {
        random = SeededGenerator(seed)
        manifest = Manifest(
            id: CheckpointID(rawValue: random.identifier()), store: StoreID(rawValue: random.identifier()),
            run: RunID(rawValue: random.identifier()), runName: Self.name(&random), step: random.below(.max),
            created: random.below(1 << 42), writer: Self.name(&random))
        if Bool.random(using: &random) {
            manifest.parent = .init(
                id: CheckpointID(rawValue: random.identifier()), run: RunID(rawValue: random.identifier()),
                step: random.below(99))
        }
        if random.below(4) == 0 {
            manifest.kind = .part
            manifest.worldSize = 1 + random.below(Limits.worldSizeMax)
            manifest.rank = random.below(manifest.worldSize)
        }
        manifest.groups = (0...random.below(3)).map {
            .init(name: "g\($0)", epoch: UInt32(truncatingIfNeeded: random.next()))
        }
        manifest.metrics = (0..<random.below(5)).map { .init(name: "m\($0)", value: Self.metric(&random)) }
    }

    /// Any text, control characters and unusual scalars among it.
    static func name(_ random: inout SeededGenerator) -> String {
        let scalars = (0..<1 + random.below(12)).map { _ -> Character in
            let value = UInt32(random.below(random.below(2) == 0 ? 0x80 : 0x11_0000))
            return Character(Unicode.Scalar(value) ?? "\u{FFFD}")
        }
        return String(scalars)
    }

    private static func metric(_ random: inout SeededGenerator) -> Double {
        let value = Double(bitPattern: random.next())
        // NaNs do not compare equal; they have a test of their own.
        return value.isNaN ? .infinity : value
    }

    private mutating func addTables() {
        for number in 0...random.below(3) {
            let name = SegmentName(
                attempt: manifest.id, rank: random.below(Limits.worldSizeMax), number: number)
            manifest.segments.append(
                SegmentReference(
                    name: name, fileBytes: 4096 * (2 + random.below(1 << 20)),
                    trailerHash: Hash128(rawValue: random.identifier())))
        }
        for _ in 0...random.below(6) { addBlock() }
    }

    private mutating func addBlock() {
        let segment = random.below(manifest.segments.count)
        let pages = manifest.segments[segment].fileBytes / 4096
        let page = 1 + random.below(pages - 1)
        let stored = 1 + random.below(min((pages - page) * 4096, Limits.blockBytesMax))
        let codec = CodecIdentifier.allCases[random.below(3)]
        let raw = codec == .raw ? stored : 1 + random.below(Limits.blockBytesMax)
        let location = SegmentBlock(
            offset: page * 4096, storedBytes: stored, rawBytes: raw, storedHash: random.next(), codec: codec)
        manifest.blocks.append(BlockRecord(segment: segment, location: location))
    }

    /// Chunks of `bytes` bytes in all, or of fewer if no block is that large; the rows and their bytes.
    private mutating func addChunks(_ count: Int, epoch: UInt32) -> (rows: Range<Int>, bytes: Int) {
        let first = manifest.chunks.count
        for _ in 0..<count {
            let block = random.below(manifest.blocks.count)
            let bytes = 1 + random.below(manifest.blocks[block].rawBytes)
            manifest.chunks.append(
                ChunkRecord(
                    hash: Hash128(rawValue: random.identifier()), block: block,
                    offset: random.below(manifest.blocks[block].rawBytes - bytes + 1), bytes: bytes, epoch: epoch))
        }
        let rows = first..<manifest.chunks.count
        return (rows, manifest.chunks[rows].reduce(0) { $0 + $1.bytes })
    }

    private mutating func addTensors() {
        for index in 0..<random.below(6) {
            let group = random.below(manifest.groups.count)
            let (rows, bytes) = addChunks(random.below(4), epoch: manifest.groups[group].epoch)
            // One dimension holds the bytes, the others are of extent 1; a shape with a 0 where there are none.
            var shape = [Int](repeating: 1, count: random.below(4)) + [bytes]
            shape.shuffle(using: &random)
            manifest.tensors.append(
                TensorRecord(
                    name: "\(index)" + Self.name(&random), type: .u8, shape: shape,
                    role: TensorRole.allCases[random.below(4)], group: group,
                    shards: [ShardRecord(descriptor: ShardDescriptor(whole: shape), chunks: rows)]))
        }
        if Bool.random(using: &random) { addSplitTensor() }
        if random.below(3) == 0 { addPieces() }
    }

    /// A transposed matrix after a row of two elements that follows it in the tensor.
    private mutating func addPieces() {
        let extents = (1 + random.below(3), 1 + random.below(3))
        let count = extents.0 * extents.1
        let pieces = [
            ShardPiece(shape: [2], offset: count, strides: [1]),
            ShardPiece(
                shape: [extents.0, extents.1], offset: 0, strides: [extents.1, 1], localOffset: 2,
                localStrides: [1, extents.0]),
        ]
        let first = manifest.chunks.count
        guard let block = manifest.blocks.indices.first(where: { manifest.blocks[$0].rawBytes >= count + 2 })
        else { return }
        manifest.chunks.append(
            ChunkRecord(
                hash: Hash128(rawValue: random.identifier()), block: block, offset: 0, bytes: count + 2,
                epoch: manifest.groups[0].epoch))
        let replicas = (0..<min(manifest.worldSize, 4)).filter { $0 != manifest.rank }
        manifest.tensors.append(
            TensorRecord(
                name: "pieces", type: .u8, shape: [count + 2], role: .buffer, group: 0,
                shards: [ShardRecord(region: .pieces(pieces), chunks: first..<first + 1, replicas: replicas)]))
    }

    /// Rows of two bytes, one in each of two shards.
    private mutating func addSplitTensor() {
        let shards = (0..<2).map { row -> ShardRecord in
            manifest.chunks.append(
                ChunkRecord(
                    hash: Hash128(rawValue: random.identifier()), block: 0, offset: 0, bytes: 1,
                    epoch: manifest.groups[0].epoch))
            let descriptor = ShardDescriptor(offset: [row], extent: [1])
            return ShardRecord(descriptor: descriptor, chunks: manifest.chunks.count - 1..<manifest.chunks.count)
        }
        manifest.tensors.append(
            TensorRecord(name: "split", type: .bool, shape: [2], role: .buffer, group: 0, shards: shards))
    }

    private mutating func addObjects() {
        for index in 0..<random.below(4) {
            let (rows, bytes) = addChunks(random.below(3), epoch: 0)
            manifest.objects.append(
                ObjectRecord(
                    name: "\(index)" + Self.name(&random), role: ObjectRole.allCases[random.below(6)],
                    encoding: ObjectEncoding.allCases[random.below(2)], bytes: bytes, chunks: rows))
        }
    }
}
