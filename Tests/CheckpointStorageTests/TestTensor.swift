import CheckpointFormat
import CheckpointSharding
import CheckpointTestSupport

/// A tensor of random bytes and the shardings that it is saved with.
struct TestTensor {
    let name: String
    let type: ElementType
    /// The sharding, or those of the parts that are tensors of their own.
    let shardings: [TensorSharding]
    var shape: [Int] { shardings[0].shape }
    let mesh: RankMesh
    /// Row-major bytes of the complete tensor.
    let content: [UInt8]

    init(
        _ name: String, _ type: ElementType, _ sharding: TensorSharding, _ mesh: RankMesh,
        _ random: inout SeededGenerator
    ) {
        self.init(name, type, parts: [sharding], mesh, &random)
    }

    init(
        _ name: String, _ type: ElementType, parts: [TensorSharding], _ mesh: RankMesh,
        _ random: inout SeededGenerator
    ) {
        (self.name, self.type, shardings, self.mesh) = (name, type, parts, mesh)
        content = random.bytes(TensorShape.byteCount(parts[0].shape, type) ?? 0)
    }

    /// The memory of a rank: its elements at their places, and `padding` elsewhere.
    func memory(of shard: TensorShard, padding: UInt8) -> [UInt8] {
        let (width, count) = (type.width, shard.memoryShape.reduce(1, *))
        var memory = [UInt8](repeating: padding, count: count * width)
        for piece in shard.pieces {
            for (position, place) in zip(positions(piece.elements), positions(piece.localElements))
            {
                memory[place * width..<(place + 1) * width] =
                    content[position * width..<(position + 1) * width]
            }
        }
        return memory
    }

    /// What each rank saves: its own pieces, one after the other, and their bytes.
    func saved() throws -> [(rank: Int, pieces: [ShardPiece], bytes: [UInt8])] {
        let claims = try (0..<mesh.worldSize).flatMap { rank throws in
            try shardings.compactMap { sharding throws in
                try TensorClaim(name, type, sharding, rank: rank, in: mesh)
            }
        }
        let index = try TensorIndex(claims)
        return (0..<mesh.worldSize).compactMap { rank in
            let pieces = SavedShard(packing: index.tensors[0].saved(by: rank)).pieces
            guard !pieces.isEmpty else { return nil }
            let bytes = pieces.flatMap { piece in
                positions(piece.elements).flatMap {
                    content[$0 * type.width..<($0 + 1) * type.width]
                }
            }
            return (rank, pieces, bytes)
        }
    }
}
