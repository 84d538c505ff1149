internal import CheckpointStorage
internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointState

/// A tensor to compare, in a checkpoint or in lent memory.
struct ComparedTensor {
    enum Content {
        case shards([(region: ShardRegion, extents: [ChunkExtent])])
        case view(TensorView)
    }

    let name: String
    let form: CheckpointComparison.Form
    let content: Content

    /// Size of all elements in bytes.
    var byteCount: Int { TensorShape.byteCount(form.shape, form.type) ?? 0 }

    /// Returns the pairs of shards to compare, which cover each element once. Two tensors with the
    /// same sharding are compared shard by shard.
    ///
    /// - Parameter other: the tensor of the second side, of the same form.
    func pairs(with other: ComparedTensor) -> [ComparedPair] {
        guard case .shards(let own) = content else { preconditionFailure("lent tensors are the second side") }
        switch other.content {
        case .shards(let others):
            guard own.map(\.region) != others.map(\.region) else {
                return zip(own, others).map {
                    ComparedPair(
                        before: .chunks($0.extents), after: .chunks($1.extents), overlap: nil)
                }
            }
            return own.flatMap { old in
                others.compactMap { new -> ComparedPair? in
                    let overlap = overlap(old.region, new.region)
                    guard !overlap.isEmpty else { return nil }
                    return ComparedPair(
                        before: .chunks(old.extents), after: .chunks(new.extents), overlap: overlap)
                }
            }
        case .view(let view):
            return own.map { shard in
                guard let box = shard.region.box else {
                    let overlap = overlap(shard.region, .box(ShardDescriptor(whole: form.shape)))
                    return ComparedPair(
                        before: .chunks(shard.extents), after: .view(view), overlap: overlap)
                }
                // It throws only for a part outside of the tensor.
                guard let part = try? view.part(box) else {
                    preconditionFailure("a shard of a manifest lies in its tensor")
                }
                return ComparedPair(before: .chunks(shard.extents), after: .view(part), overlap: nil)
            }
        }
    }

    private func overlap(_ old: ShardRegion, _ new: ShardRegion) -> [StridedCopy] {
        let others = new.pieces(in: form.shape)
        return old.pieces(in: form.shape).flatMap { piece in
            others.flatMap { PieceIntersection.copies(from: piece, to: $0) }
        }
    }
}

/// Two shards with elements to compare.
struct ComparedPair {
    let before: ComparedShard
    let after: ComparedShard
    /// Elements that both shards hold; nil if they are the same shard.
    let overlap: [StridedCopy]?
}

/// Elements in chunks with known hashes, or in lent memory.
enum ComparedShard {
    case chunks([ChunkExtent])
    case view(TensorView)

    var extents: [ChunkExtent] {
        if case .chunks(let extents) = self { extents } else { [] }
    }

    var byteCount: Int {
        switch self {
        case .chunks(let extents): extents.last?.range.upperBound ?? 0
        case .view(let view): view.byteCount
        }
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
