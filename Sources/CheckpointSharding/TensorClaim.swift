package import CheckpointFormat

/// One rank's declaration of the part of a tensor that it holds.
package struct TensorClaim: Hashable, Sendable {
    package var name: String
    package var type: ElementType
    /// Shape of the complete tensor.
    package var shape: [Int]
    package var rank: Int
    /// The pieces in the rank's memory.
    package var pieces: [ShardPiece]
    /// Size of the rank's memory in elements.
    package var memory: Int

    package init(
        name: String, type: ElementType, shape: [Int], rank: Int, pieces: [ShardPiece], memory: Int
    ) {
        self.name = name
        self.type = type
        self.shape = shape
        self.rank = rank
        self.pieces = pieces
        self.memory = memory
    }

    /// Creates the claim of a rank that declares a sharding.
    ///
    /// - Parameters:
    ///   - name: Name of the tensor.
    ///   - type: Type of its elements.
    ///   - sharding: The sharding.
    ///   - rank: The rank.
    ///   - mesh: All ranks.
    /// - Returns: Nil if the rank does not have the tensor.
    /// - Throws: `ShardingError` if the declaration is impossible.
    package init?(
        _ name: String, _ type: ElementType, _ sharding: TensorSharding, rank: Int,
        in mesh: RankMesh
    ) throws(ShardingError) {
        let local: LocalTensor?
        do throws(ShardingError) { local = try sharding.local(of: rank, in: mesh) } catch {
            throw error.of(name)
        }
        guard let local else { return nil }
        self.init(
            name: name, type: type, shape: sharding.shape, rank: rank, pieces: local.pieces,
            memory: local.count)
    }

    /// Checks that the claim is possible by itself.
    func check() throws(ShardingError) {
        func fail(_ message: String) -> ShardingError {
            ShardingError(.declaration, message, tensor: name, ranks: [rank])
        }
        guard (0..<Limits.worldSizeMax).contains(rank) else {
            throw fail("rank \(rank) is not from 0 to \(Limits.worldSizeMax - 1)")
        }
        guard TensorShape.byteCount(shape, type) != nil, let count = TensorShape.elementCount(shape)
        else { throw fail("\(shape) is not the shape of a tensor of type \(type)") }
        guard memory >= 0, TensorShape.byteCount([memory], type) != nil else {
            throw fail("rank \(rank) cannot have a memory of \(memory) elements")
        }
        guard pieces.count <= Limits.piecesPerShardMax else {
            throw fail(
                "rank \(rank) has \(pieces.count) pieces; at most \(Limits.piecesPerShardMax)"
            )
        }
        for piece in pieces {
            do throws(PieceError) { try piece.check(tensor: count, memory: memory) } catch {
                throw fail("rank \(rank): \(error)")
            }
        }
        let fault = ElementCover.fault(
            pieces.map(\.localElements), in: [memory], allowsHoles: true)
        if fault != nil {
            throw fail("rank \(rank) has two pieces of the tensor at the same place in its memory")
        }
    }
}
