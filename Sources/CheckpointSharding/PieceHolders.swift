internal import CheckpointFormat

/// The ranks that hold each piece of a rank's shard.
package struct PieceHolders: Hashable, Sendable {
    /// The rank whose shard it is.
    package let rank: Int
    /// Per piece the ranks that hold it, ascending; `rank` is one of them.
    package let ranks: [[Int]]

    init(rank: Int, ranks: [[Int]]) {
        self.rank = rank
        self.ranks = ranks
    }

    /// Finds the holders of pieces that a sharding gives a rank.
    ///
    /// - Parameters:
    ///   - pieces: The pieces of the rank.
    ///   - sharding: The sharding.
    ///   - rank: The rank.
    ///   - mesh: All ranks.
    /// - Throws: `ShardingError` if a step is impossible on another rank.
    init(
        of pieces: [ShardPiece], _ sharding: TensorSharding, _ rank: Int, _ mesh: RankMesh
    ) throws(ShardingError) {
        let axes = sharding.steps.map(\.axes)
        let used = Set(axes.compactMap(\.split))
        var sharing = Set(axes.compactMap(\.shared))
        if let first = axes.firstIndex(where: { $0.shared != nil }),
            let next = axes[first...].firstIndex(where: { $0.split != nil })
        {
            // If ranks that share elements have memories of different sizes, a split of these may
            // give the same elements to ranks with other coordinates on its axis.
            let along = mesh.names.indices.filter { sharing.contains(mesh.names[$0]) }
            var shapes: Set<[Int]?> = []
            for other in mesh.neighbors(of: rank, along: along) {
                shapes.insert(try sharding.local(of: other, in: mesh, steps: next)?.shape)
            }
            if shapes.count > 1 { sharing.formUnion(axes[next...].compactMap(\.split)) }
        }
        let free = mesh.names.indices.filter {
            !used.contains(mesh.names[$0]) && !sharing.contains(mesh.names[$0])
        }
        let along = mesh.names.indices.filter { sharing.contains(mesh.names[$0]) }
        var holders = [[Int]](repeating: [], count: pieces.count)
        for other in mesh.neighbors(of: rank, along: along) {
            let held =
                other == rank
                ? pieces : try sharding.local(of: other, in: mesh)?.pieces ?? []
            let elements = Set(held.map(\.elements.normalized))
            let ranks = mesh.neighbors(of: other, along: free)
            for (index, piece) in pieces.enumerated()
            where elements.contains(piece.elements.normalized) { holders[index] += ranks }
        }
        self.init(rank: rank, ranks: holders.map { $0.sorted() })
    }
}

extension TensorSharding.Step {
    /// The axis that the step uses: one whose ranks hold different elements, or one along which
    /// some ranks may hold the same.
    fileprivate var axes: (split: String?, shared: String?) {
        switch self {
        case .split(_, let axis, _), .stridedSplit(_, let axis, _), .flat(_, _, let axis, _),
            .only(let axis, _):
            (axis, nil)
        case .fused(_, _, _, let axis), .heads(_, _, let axis): (nil, axis)
        case .padded, .slice, .permuted: (nil, nil)
        }
    }
}
