package import CheckpointFormat
package import CheckpointSharding

/// A tensor on simulated ranks: element i of the tensor has the value i, padding is -1.
package struct Simulation {
    package let name = "w"
    package let sharding: TensorSharding
    package let mesh: RankMesh
    /// Of each rank what it holds; nil if it does not have the tensor.
    package let locals: [LocalTensor?]

    package init(_ sharding: TensorSharding, _ mesh: RankMesh) throws(ShardingError) {
        (self.sharding, self.mesh) = (sharding, mesh)
        locals = try (0..<mesh.worldSize).map { rank throws(ShardingError) in
            try sharding.local(of: rank, in: mesh)
        }
    }

    package var claims: [TensorClaim] {
        locals.enumerated().compactMap { rank, local in
            local.map {
                TensorClaim(
                    name: name, type: .i64, shape: sharding.shape, rank: rank, pieces: $0.pieces,
                    memory: $0.count)
            }
        }
    }

    /// The index, made from the claims in an order that depends on the seed.
    package func index(_ seed: UInt64 = 0) throws -> ShardedTensor {
        var random = SeededGenerator(seed)
        let index = try TensorIndex(claims.shuffled(using: &random))
        return index.tensors[0]
    }

    /// The memory of a rank as the trainer would have filled it, from the definition of a piece.
    package func memory(of rank: Int) -> [Int] {
        guard let local = locals[rank] else { return [] }
        var memory = [Int](repeating: -1, count: local.count)
        for piece in local.pieces {
            for (position, place) in zip(positions(piece.elements), positions(piece.localElements))
            {
                memory[place] = position
            }
        }
        return memory
    }

    /// What the ranks save: per rank with pieces a shard and its elements, read from its memory.
    package func save(_ memories: [[Int]]) throws -> (shards: [SavedShard], saved: [[Int]]) {
        let index = try index()
        var (shards, saved) = ([SavedShard](), [[Int]]())
        for rank in memories.indices {
            let pieces = index.saved(by: rank)
            guard !pieces.isEmpty else { continue }
            shards.append(SavedShard(packing: pieces))
            saved.append(
                pieces.flatMap { piece in positions(piece.localElements).map { memories[rank][$0] }
                })
        }
        return (shards, saved)
    }

    /// Fills the memory of every rank from saved shards.
    package func restore(_ shards: [SavedShard], _ saved: [[Int]]) throws -> [[Int]] {
        let source = ReshardSource(shards)
        return try locals.enumerated().map { rank, local in
            guard let local else { return [] }
            var memory = [Int](repeating: -1, count: local.count)
            let plan = try ReshardPlan(source, to: local.pieces, rank: rank, tensor: name)
            for transfer in plan.transfers {
                for copy in transfer.copies {
                    copy.forEachRun { run in
                        for index in 0..<run.count {
                            memory[run.destination + index] =
                                saved[transfer.shard][run.source + index]
                        }
                    }
                }
            }
            return memory
        }
    }
}

/// Every position of a set, in row-major order of its dimensions.
package func positions(_ set: StridedElements) -> [Int] {
    set.dimensions.reduce([set.offset]) { starts, dimension in
        starts.flatMap { start in (0..<dimension.count).map { start + $0 * dimension.stride } }
    }
}
