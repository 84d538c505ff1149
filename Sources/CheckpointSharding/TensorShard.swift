package import CheckpointFormat

/// The part of a tensor that one rank holds, and its places in the rank's memory.
///
///     let sharding = TensorSharding([4096, 1024]).split(0, over: "tp")
///     let shard = try sharding.shard(of: rank, in: RankMesh(["dp": 2, "tp": 4]))
///     let weight = try OwnedTensor<Float>(repeating: 0, shape: shard.memoryShape)
///     let state = TensorState("weight", weight.view, of: shard)
public struct TensorShard: Hashable, Sendable {
    /// Shape of the complete tensor.
    public let shape: [Int]
    /// Extents of the rank's memory, which may have padding; `[0]` if the rank holds nothing.
    public let memoryShape: [Int]
    /// The pieces of the tensor in the rank's memory; none is empty.
    package let pieces: [ShardPiece]
    /// The ranks that hold each piece, and which of them this one is; nil if that is not known, and
    /// this rank saves all pieces.
    package let holders: PieceHolders?
    /// The pieces as they are saved.
    package let parts: [Part]

    /// Elements that the rank holds, as they are saved.
    package struct Part: Hashable, Sendable {
        /// The elements, and their place in the rank's memory.
        package let piece: ShardPiece
        /// The elements, in the order in which they are saved.
        package let region: ShardRegion
        /// The ranks that hold them, ascending; empty if only this one is known to.
        package let holders: [Int]
    }

    /// Declares a box that is row-major in the rank's memory.
    ///
    /// - Parameters:
    ///   - offset: First index, per dimension.
    ///   - extent: Number of indices, per dimension.
    ///   - shape: Shape of the complete tensor.
    /// - Throws: `ShardingError` if `shape` is not a shape, or the box is not inside.
    public init(offset: [Int], extent: [Int], of shape: [Int]) throws(ShardingError) {
        let box = ShardDescriptor(offset: offset, extent: extent)
        guard TensorShape.elementCount(shape) != nil, box.lies(inside: shape) else {
            throw ShardingError(
                .declaration, "a box at \(offset) of extent \(extent) is not inside \(shape)")
        }
        self.init(
            shape: shape, memoryShape: extent, pieces: ShardRegion.box(box).pieces(in: shape), nil)
    }

    /// Declares that the rank holds nothing of a tensor.
    ///
    /// - Parameter shape: Shape of the complete tensor.
    init(noneOf shape: [Int]) {
        self.init(shape: shape, memoryShape: [0], pieces: [], nil)
    }

    init(shape: [Int], _ local: LocalTensor, _ holders: PieceHolders?) {
        self.init(shape: shape, memoryShape: local.shape, pieces: local.pieces, holders)
    }

    /// Declares which ranks hold the same elements, so that each of them saves a share of what they
    /// have in common. All of them must declare it.
    ///
    /// The shards of `TensorSharding` know this already. If a declaration is wrong, the save fails:
    /// elements would be missing, or the ranks hold different bytes.
    ///
    /// - Parameters:
    ///   - ranks: the ranks, in any order; `rank` is one of them.
    ///   - rank: this rank.
    /// - Returns: the same shard.
    /// - Throws: `ShardingError` if `rank` is not one of `ranks`, or one is out of range.
    public func held(by ranks: [Int], on rank: Int) throws(ShardingError) -> TensorShard {
        let ranks = Set(ranks).sorted()
        guard ranks.contains(rank), ranks[0] >= 0, ranks[ranks.count - 1] < Limits.worldSizeMax
        else {
            throw ShardingError(
                .declaration,
                "ranks \(ranks) must include rank \(rank), "
                    + "and be from 0 to \(Limits.worldSizeMax - 1)", ranks: [rank])
        }
        let holders = PieceHolders(rank: rank, ranks: pieces.map { _ in ranks })
        return TensorShard(shape: shape, memoryShape: memoryShape, pieces: pieces, holders)
    }

    private init(
        shape: [Int], memoryShape: [Int], pieces: [ShardPiece], _ holders: PieceHolders?
    ) {
        self.shape = shape
        self.memoryShape = memoryShape
        self.pieces = pieces
        self.holders = holders
        // A rank may hold a piece twice, as when several of its heads share their keys.
        var seen: Set<StridedElements> = []
        parts = pieces.enumerated().compactMap { index, piece in
            guard seen.insert(piece.elements.normalized).inserted else { return nil }
            return Part(
                piece: piece, region: piece.region(in: shape),
                holders: holders?.ranks[index] ?? [])
        }
    }

    /// True if the rank holds no element of the tensor.
    public var isEmpty: Bool { pieces.isEmpty }

    /// Number of elements of the tensor that the rank holds; padding does not count.
    public var elementCount: Int { pieces.reduce(0) { $0 + $1.count } }
}

extension ShardPiece {
    /// Returns the elements as they follow each other in a view of the piece: a box, if that is its
    /// row-major order.
    ///
    /// - Parameter tensor: Shape of the tensor.
    fileprivate func region(in tensor: [Int]) -> ShardRegion {
        let long = zip(shape, strides).filter { $0.0 > 1 }.map(\.1)
        let isAscending = zip(long, long.dropFirst()).allSatisfy { $0 > $1 }
        if isAscending, let box = ShardDescriptor(elements, in: tensor) { return .box(box) }
        return .pieces([ShardPiece(shape: shape, offset: offset, strides: strides)])
    }
}
