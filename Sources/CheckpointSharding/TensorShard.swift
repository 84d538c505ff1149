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
        self.shape = shape
        memoryShape = extent
        pieces = ShardRegion.box(box).pieces(in: shape)
    }

    /// Declares that the rank holds nothing of a tensor.
    ///
    /// - Parameter shape: Shape of the complete tensor.
    init(noneOf shape: [Int]) {
        self.shape = shape
        memoryShape = [0]
        pieces = []
    }

    init(shape: [Int], _ local: LocalTensor) {
        self.shape = shape
        memoryShape = local.shape
        pieces = local.pieces
    }

    /// True if the rank holds no element of the tensor.
    public var isEmpty: Bool { pieces.isEmpty }

    /// Number of elements of the tensor that the rank holds; padding does not count.
    public var elementCount: Int { pieces.reduce(0) { $0 + $1.count } }
}
