internal import CheckpointFormat

/// Contents of the `.metadata` file of torch.distributed.checkpoint
/// (torch/distributed/checkpoint/metadata.py, filesystem.py): the tensors, their pieces, and the
/// file and byte range of each piece.
struct DistributedMetadata {
    struct Place {
        var fileName: String
        var range: Range<Int>
    }

    struct Piece {
        var shard: ShardDescriptor
        var place: Place
    }

    struct Tensor {
        var name: String
        var type: ElementType
        var shape: [Int]
        var pieces: [Piece]
    }

    private(set) var tensors: [Tensor] = []
    /// Values that are not tensors. Each is stored as a file of `torch.save`.
    private(set) var values: [(name: String, place: Place)] = []
    private let pickle: Pickle
    private var places: [Key: Place] = [:]

    private struct Key: Hashable {
        var name: ByteName
        /// Offset of the piece in elements per dimension; nil for values.
        var offset: [Int]?
    }

    /// Reads the metadata from its pickle.
    ///
    /// - Parameter pickle: the contents of `.metadata`.
    /// - Throws: `ExchangeError` if the metadata is damaged, or describes tensors that cannot be
    ///   read here.
    init(_ pickle: Pickle) throws(ExchangeError) {
        self.pickle = pickle
        let root = try pickle.attributes(pickle.root, .metadata)
        try readPlaces(root["storage_data"])
        for (key, value) in try pickle.members(root["state_dict_metadata"], "state_dict_metadata") {
            let name = try pickle.string(key, "the name of a tensor")
            if pickle.node(value)?.kind == .call(.distributed(.bytes)) {
                values.append((name, try place(Key(name: ByteName(name), offset: nil), name)))
            } else {
                tensors.append(try tensor(name, value))
            }
        }
    }

    private mutating func readPlaces(_ value: Pickle.Value?) throws(ExchangeError) {
        for (key, value) in try pickle.members(value, "storage_data") {
            let index = try pickle.attributes(key, .index)
            let name = try pickle.string(index["fqn"], "the name of a piece")
            var offset: [Int]?
            if case .node? = index["offset"] {
                offset = try pickle.integers(index["offset"], "the offset of a piece")
            }
            let info = try pickle.attributes(value, .storageInfo)
            if let steps = pickle.node(info["transform_descriptors"]), !steps.items.isEmpty {
                throw .refused(
                    pickle.path,
                    "tensor \(quoted(name)) is stored transformed (compressed, for example)")
            }
            places[Key(name: ByteName(name), offset: offset)] = try place(info, name)
        }
    }

    private func place(_ info: [String: Pickle.Value], _ name: String) throws(ExchangeError)
        -> Place
    {
        let fileName = try pickle.string(info["relative_path"], "the file of a piece")
        guard isPlainFileName(fileName) else {
            throw .refused(
                pickle.path,
                "tensor \(quoted(name)) is in \(quoted(fileName)), "
                    + "which is not a file next to .metadata"
            )
        }
        let start = try pickle.integer(info["offset"], "the position of a piece")
        let count = try pickle.integer(info["length"], "the size of a piece")
        guard start >= 0, count >= 0, count <= .max - start else {
            throw pickle.error("a piece has \(count) bytes at offset \(start)")
        }
        return Place(fileName: fileName, range: start..<start + count)
    }

    private func place(_ key: Key, _ name: String) throws(ExchangeError) -> Place {
        guard let place = places[key] else {
            throw pickle.error("storage_data has no entry for a piece of \(quoted(name))")
        }
        return place
    }

    private func tensor(_ name: String, _ value: Pickle.Value) throws(ExchangeError) -> Tensor {
        let attributes = try pickle.attributes(value, .tensor)
        let shape = try pickle.integers(attributes["size"], "the size of tensor \(quoted(name))")
        let type = try type(attributes["properties"], name)
        guard shape.count <= Limits.rankOfTensorMax else {
            throw .refused(
                pickle.path,
                "tensor \(quoted(name)): \(shape.count) dimensions, more than \(Limits.rankOfTensorMax)"
            )
        }
        guard let bytes = TensorShape.byteCount(shape, type) else {
            throw pickle.error("tensor \(quoted(name)): \(shown(shape)) is not a valid shape")
        }
        guard let chunks = pickle.node(attributes["chunks"]), chunks.kind == .list else {
            throw pickle.error("tensor \(quoted(name)) has no chunks")
        }
        guard chunks.items.count <= ExchangeLimits.piecesOfTensorMax else {
            throw .refused(
                pickle.path,
                "tensor \(quoted(name)) has \(chunks.items.count) pieces, "
                    + "more than \(ExchangeLimits.piecesOfTensorMax)")
        }
        var pieces: [Piece] = []
        for chunk in chunks.items {
            let parts = try pickle.attributes(chunk, .chunk)
            let offset = try pickle.integers(parts["offsets"], "the offset of a piece")
            let extent = try pickle.integers(parts["sizes"], "the size of a piece")
            let place = try place(Key(name: ByteName(name), offset: offset), name)
            pieces.append(
                Piece(shard: ShardDescriptor(offset: offset, extent: extent), place: place))
        }
        try checkCover(pieces.map(\.shard), shape, bytes / type.width, name)
        return Tensor(name: name, type: type, shape: shape, pieces: pieces)
    }

    private func type(_ properties: Pickle.Value?, _ name: String) throws(ExchangeError)
        -> ElementType
    {
        guard let node = pickle.node(properties), node.kind == .call(.distributed(.properties))
        else {
            throw pickle.error("tensor \(quoted(name)) has no properties")
        }
        switch pickle.node(node.state)?.items.first {
        case .global(.dtype(let type)): return type
        case .global(let global):
            throw .refused(
                pickle.path, "tensor \(quoted(name)): element type \(global.name) is unknown"
            )
        default: throw pickle.error("tensor \(quoted(name)) has no element type")
        }
    }

    /// Checks that the pieces make up the tensor: each element is in exactly one of them.
    private func checkCover(
        _ shards: [ShardDescriptor], _ shape: [Int], _ elements: Int, _ name: String
    ) throws(ExchangeError) {
        if let outside = shards.first(where: { !$0.lies(inside: shape) }) {
            throw pickle.error(
                "a piece of tensor \(quoted(name)) at \(shown(outside.offset)) is outside shape \(shown(shape))"
            )
        }
        let covered = shards.reduce(0) { clamped($0, TensorShape.elementCount($1.extent) ?? .max) }
        guard covered == elements else {
            throw pickle.error(
                "the pieces of tensor \(quoted(name)) have \(covered) of its \(elements) elements")
        }
        let sets = shards.filter { !$0.extent.contains(0) }.map { StridedElements($0, in: shape) }
        // As many elements as the tensor has, and none twice, leave no hole; with an overlap, the
        // first fault could be the hole that it leaves elsewhere.
        if let fault = ElementCover.fault(sets, in: shape, allowsHoles: true) {
            guard case .overlap(let elements, _, _) = fault else {
                throw pickle.error("the pieces of tensor \(quoted(name)) do not cover it")
            }
            throw pickle.error(
                "the pieces of tensor \(quoted(name)) overlap at \(elements.text(in: shape))")
        }
    }

    private func clamped(_ a: Int, _ b: Int) -> Int {
        let (sum, isTooLarge) = a.addingReportingOverflow(b)
        return isTooLarge ? .max : sum
    }
}
