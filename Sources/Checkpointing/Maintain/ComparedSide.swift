internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointState

/// A tensor that is compared, wherever its bytes lie.
struct ComparedTensor {
    enum Content {
        case record(TensorRecord, [(descriptor: ShardDescriptor, extents: [ChunkExtent])])
        case view(TensorView)
    }

    let name: String
    let form: CheckpointComparison.Form
    let content: Content

    /// Pairs of shards that hold the same elements; nil if the two are cut differently.
    func shards(like other: ComparedTensor) -> [(ComparedShard, ComparedShard)]? {
        guard case .record(_, let own) = content else { return nil }
        switch other.content {
        case .record(_, let others):
            guard own.map(\.descriptor) == others.map(\.descriptor) else { return nil }
            return zip(own, others).map { (.chunks($0.extents), .chunks($1.extents)) }
        case .view(let view):
            var pairs: [(ComparedShard, ComparedShard)] = []
            for shard in own {
                // A shard of a tensor of the same shape lies inside of it.
                guard let part = try? view.part(shard.descriptor) else { return nil }
                pairs.append((.chunks(shard.extents), .view(part)))
            }
            return pairs
        }
    }
}

/// Elements that lie in chunks of known hashes, or in memory that is lent.
enum ComparedShard {
    case chunks([ChunkExtent])
    case view(TensorView)

    var extents: [ChunkExtent] {
        if case .chunks(let extents) = self { extents } else { [] }
    }
}

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
            let shards = record.shards.map { ($0.descriptor, manifest.extents($0.chunks)) }
            return ComparedTensor(
                name: record.name, form: .init(type: record.type, shape: record.shape), content: .record(record, shards))
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

    /// Reads bytes of lent memory to the start of `region`.
    mutating func hash(
        _ range: Range<Int>, of view: TensorView, _ name: String, through region: MemoryRegion
    ) throws(CheckpointError) -> Hash128 {
        otherBytes += range.count
        return try translating("tensor \(name)") { try view.capture(range, to: region.prefix(range.count)) }
    }

    mutating func whole(_ tensor: ComparedTensor) throws(CheckpointError) -> OwnedTensor {
        otherBytes += TensorShape.byteCount(tensor.form.shape, tensor.form.type) ?? 0
        switch tensor.content {
        case .record(let record, _):
            guard let content else { preconditionFailure("a record without a checkpoint") }
            return try content.tensor(record)
        case .view(let view):
            return try translating("tensor \(tensor.name)") {
                let owned = try OwnedTensor(view.type, view.shape)
                _ = try view.capture(0..<view.byteCount, to: owned.region)
                return owned
            }
        }
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
