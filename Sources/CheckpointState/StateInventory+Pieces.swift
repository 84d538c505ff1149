internal import CheckpointFormat
internal import CheckpointSharding

extension StateInventory {
    /// Returns the inventory of what one of several ranks holds: one item for each piece of a shard,
    /// and one without elements for a shard that is empty. Names are not checked.
    ///
    /// - Parameter rank: the rank. What a shard of another rank says of holders does not count.
    /// - Throws: `StateError` if a shard's memory cannot be divided.
    package func dividedIntoPieces(of rank: Int = 0) throws(StateError) -> StateInventory {
        var divided = self
        divided.removeTensors()
        for item in tensors {
            for piece in try item.pieces(of: rank) { divided.add(piece) }
        }
        return divided
    }

    /// Returns the name of a tensor of which this process lacks elements. The inventory is divided
    /// into pieces.
    ///
    /// - Returns: nil if the process holds every tensor completely.
    package var incompleteTensor: String? {
        var parts: [[UInt8]: [TensorItem]] = [:]
        for item in tensors where !item.isComplete {
            parts[Array(item.name.utf8), default: []].append(item)
        }
        return tensors.first { item in
            guard let parts = parts[Array(item.name.utf8)] else { return false }
            let elements = parts.flatMap { $0.region?.pieces(in: item.shape) ?? [] }
            return ElementCover.fault(elements.map(\.elements), in: item.shape) != nil
        }?.name
    }
}

extension TensorItem {
    /// True if the item has all elements of the tensor, in row-major order.
    fileprivate var isComplete: Bool {
        guard shard != nil else { return true }
        return shape.contains(0) || region == .box(ShardDescriptor(whole: shape))
    }

    fileprivate func pieces(of rank: Int) throws(StateError) -> [TensorItem] {
        guard let shard else {
            var whole = self
            let box = ShardDescriptor(whole: view.shape)
            whole.region = view.byteCount == 0 ? nil : .box(box)
            return [whole]
        }
        guard view.isRowMajor else {
            throw StateError("tensor \(name): the memory of a shard must be row-major")
        }
        let areHoldersKnown = shard.holders?.rank == rank
        let items = try shard.parts.map { part throws(StateError) in
            var item = self
            item.holders = areHoldersKnown ? part.holders : []
            item.view = try view.elements(of: part.piece, tensor: name)
            item.region = part.region
            return item
        }
        guard items.isEmpty else { return items }
        var empty = self
        empty.view = try TensorView(view.memory, type: view.type, shape: [0])
        return [empty]
    }
}

extension TensorView {
    fileprivate var isRowMajor: Bool {
        zip(strides, TensorShape.rowMajorStrides(shape)).enumerated().allSatisfy {
            shape[$0.offset] <= 1 || $0.element.0 == $0.element.1
        }
    }

    /// Views a piece of row-major memory.
    fileprivate func elements(
        of piece: ShardPiece, tensor name: String
    ) throws(StateError) -> TensorView {
        guard piece.localOffset % type.elementsPerUnit == 0 else {
            throw StateError("tensor \(name): a shard splits a byte of \(type)")
        }
        return try TensorView(
            memory, type: type, shape: piece.shape, strides: piece.localStrides,
            byteOffset: byteOffset + type.bytes(ofElements: piece.localOffset))
    }
}
