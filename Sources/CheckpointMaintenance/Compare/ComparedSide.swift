internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointState
internal import CheckpointStorage

/// One side of a comparison: a checkpoint, or lent tensors.
struct ComparedSide {
    let tensors: [ComparedTensor]
    let objects: [ObjectRecord]
    private let manifest: Manifest?
    private let content: ContentReader?
    private let reader: ChunkReader?
    private var otherBytes = 0

    init(_ manifest: Manifest, of store: CheckpointStore) {
        self.manifest = manifest
        content = ContentReader(store: store, manifest: manifest)
        reader = ChunkReader(store: store, manifest: manifest)
        objects = manifest.objects
        tensors = manifest.tensors.map { record in
            let shards = record.shards.map { ($0.region, manifest.extents($0.chunks)) }
            return ComparedTensor(
                name: record.name, form: .init(type: record.type, shape: record.shape), content: .shards(shards))
        }
    }

    init(_ inventory: StateInventory) {
        (manifest, content, reader, objects) = (nil, nil, nil, [])
        tensors = inventory.tensors.map {
            ComparedTensor(name: $0.name, form: .init(type: $0.view.type, shape: $0.view.shape), content: .view($0.view))
        }
    }

    /// Bytes of tensors read so far.
    var readBytes: Int { otherBytes + (reader?.readBytes ?? 0) }

    mutating func read(
        _ range: Range<Int>, of shard: ComparedShard, _ name: String, into region: MemoryRegion
    ) throws(CheckpointError) {
        switch shard {
        case .chunks(let extents): try reader?.read(range, of: extents, name: name, into: region)
        case .view(let view): _ = try hash(range, of: view, name, through: region)
        }
    }

    /// Copies bytes of lent memory to the start of `region`, and returns their hash.
    mutating func hash(
        _ range: Range<Int>, of view: TensorView, _ name: String, through region: MemoryRegion
    ) throws(CheckpointError) -> Hash128 {
        otherBytes += range.count
        return try translating("tensor \(name)") { try view.capture(range, to: region.prefix(range.count)) }
    }

    // MARK: Objects

    func hashes(of object: ObjectRecord) -> [ChunkHash] {
        manifest.map { manifest in manifest.chunks[object.chunks].map { ChunkHash(hash: $0.hash, bytes: $0.bytes) } } ?? []
    }

    func object(_ record: ObjectRecord) throws(CheckpointError) -> [UInt8] { try content?.object(record) ?? [] }

    struct ChunkHash: Equatable {
        var hash: Hash128
        var bytes: Int
    }
}
