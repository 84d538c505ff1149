package import CheckpointFormat
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

    /// Finds a tensor whose shards cannot be saved. The inventory is divided into pieces.
    ///
    /// - Parameter isComplete: whether this process must hold every element.
    /// - Returns: the tensor's name, and what is wrong; nil if there is none.
    package func shardFault(
        isComplete: Bool
    ) -> (tensor: String, fault: TensorRecord.ShardFault)? {
        var records: [ByteName: TensorRecord] = [:]
        for item in tensors where item.shard != nil {
            let new = TensorRecord(
                name: item.name, type: item.view.type, shape: item.shape, role: item.role, group: 0,
                shards: [])
            let shards = item.region.map { [ShardRecord(region: $0, chunks: 0..<0)] } ?? []
            records[ByteName(item.name), default: new].shards += shards
        }
        for record in records.values {
            if let fault = record.shardFault(isComplete: isComplete) { return (record.name, fault) }
        }
        return nil
    }
}

extension TensorItem {
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
