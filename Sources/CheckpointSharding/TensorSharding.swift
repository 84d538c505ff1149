/// The sharding of a tensor over the ranks of a mesh, as steps from the complete tensor to the part
/// in a rank's memory. A rank whose coordinate on an axis is not used by a step holds a replica.
///
///     TensorSharding([4096, 1024]).split(0, over: "tp")               // column-parallel
///     TensorSharding([4096, 1024]).split(0, over: "tp").split(0, over: "dp")  // FSDP2 over it
///     TensorSharding([4096]).flat(at: 512, of: buffer.count, over: "dp")      // ZeRO
public struct TensorSharding: Hashable, Sendable {
    enum Step: Hashable, Sendable {
        case split(dimension: Int, axis: String, rule: SplitRule)
        case stridedSplit(dimension: Int, axis: String, factor: Int)
        case fused(dimension: Int, sections: [FusedSection], order: FusedOrder, axis: String)
        case heads(dimension: Int, count: Int, axis: String)
        case padded(dimension: Int, extent: Int)
        case slice(dimension: Int, index: Int)
        case permuted(order: [Int])
        case flat(offset: Int, total: Int, axis: String, rule: SplitRule)
        case only(axis: String, index: Int)
    }

    /// Shape of the complete tensor.
    public let shape: [Int]
    private(set) var steps: [Step] = []

    /// Declares a tensor that every rank holds completely.
    ///
    /// - Parameter shape: Shape of the tensor; `[]` is a scalar.
    public init(_ shape: [Int]) { self.shape = shape }

    private func with(_ step: Step) -> TensorSharding {
        var sharding = self
        sharding.steps.append(step)
        return sharding
    }

    /// Splits a dimension among the ranks of an axis: tensor parallelism by rows or columns, FSDP2,
    /// experts, layers of a pipeline.
    ///
    /// - Parameters:
    ///   - dimension: Number of the dimension.
    ///   - axis: Name of the axis.
    ///   - rule: Sizes of the parts.
    /// - Returns: This sharding, followed by the split.
    public func split(
        _ dimension: Int, over axis: String, _ rule: SplitRule = .chunks
    ) -> TensorSharding {
        with(.split(dimension: dimension, axis: axis, rule: rule))
    }

    /// Splits a dimension into `factor` parts, each of them among the ranks of an axis, and joins
    /// the pieces of a rank: `_StridedShard` of PyTorch.
    ///
    /// - Parameters:
    ///   - dimension: Number of the dimension.
    ///   - axis: Name of the axis.
    ///   - factor: Number of parts.
    /// - Returns: This sharding, followed by the strided split.
    public func stridedSplit(
        _ dimension: Int, over axis: String, factor: Int
    ) -> TensorSharding {
        with(.stridedSplit(dimension: dimension, axis: axis, factor: factor))
    }

    /// Splits each of several matrices that are stored as one, such as QKV or gate and up.
    ///
    /// - Parameters:
    ///   - dimension: Number of the dimension in which the matrices follow each other.
    ///   - sections: The matrices. Of one with fewer units than ranks, ranks hold replicas.
    ///   - order: Order of the matrices in the memory of a rank.
    ///   - axis: Name of the axis.
    /// - Returns: This sharding, followed by the split of each matrix.
    public func fused(
        _ dimension: Int, _ sections: [FusedSection], _ order: FusedOrder = .blocked,
        over axis: String
    ) -> TensorSharding {
        with(.fused(dimension: dimension, sections: sections, order: order, axis: axis))
    }

    /// Splits a dimension between heads. If there are fewer heads than ranks, as the heads of keys
    /// in grouped-query attention, ranks hold replicas.
    ///
    /// - Parameters:
    ///   - dimension: Number of the dimension.
    ///   - count: Number of heads; divides the extent.
    ///   - axis: Name of the axis.
    /// - Returns: This sharding, followed by the split between heads.
    public func heads(_ dimension: Int, _ count: Int, over axis: String) -> TensorSharding {
        with(.heads(dimension: dimension, count: count, axis: axis))
    }

    /// Makes a dimension longer in memory; the padding at its end is not part of the tensor.
    ///
    /// - Parameters:
    ///   - dimension: Number of the dimension.
    ///   - extent: Its extent with the padding.
    /// - Returns: This sharding, followed by the padding.
    public func padded(_ dimension: Int, to extent: Int) -> TensorSharding {
        with(.padded(dimension: dimension, extent: extent))
    }

    /// Takes one index of a dimension: a rank's tensor of one layer or expert is a slice of the
    /// tensor of all.
    ///
    /// - Parameters:
    ///   - dimension: Number of the dimension. Later steps count without it.
    ///   - index: The index.
    /// - Returns: This sharding, followed by the slice; it has one dimension less in memory.
    public func slice(_ dimension: Int, at index: Int) -> TensorSharding {
        with(.slice(dimension: dimension, index: index))
    }

    /// Reorders the dimensions in memory.
    ///
    /// - Parameter order: Per dimension in memory its number before this step.
    /// - Returns: This sharding, followed by the reordering.
    public func permuted(_ order: [Int]) -> TensorSharding { with(.permuted(order: order)) }

    /// Splits a buffer that contains this tensor and other ones: ZeRO and FSDP1.
    ///
    /// - Parameters:
    ///   - offset: Position of the tensor in the buffer, in elements.
    ///   - total: Size of the buffer in elements.
    ///   - axis: Name of the axis.
    ///   - rule: Sizes of the parts.
    /// - Returns: This sharding, followed by the split of the buffer.
    public func flat(
        at offset: Int, of total: Int, over axis: String, _ rule: SplitRule = .chunks
    ) -> TensorSharding {
        with(.flat(offset: offset, total: total, axis: axis, rule: rule))
    }

    /// Restricts the tensor to the ranks with one coordinate on an axis, such as a pipeline stage.
    ///
    /// - Parameters:
    ///   - axis: Name of the axis.
    ///   - index: The coordinate.
    /// - Returns: This sharding, for the ranks with that coordinate; others do not have the tensor.
    public func only(_ axis: String, at index: Int) -> TensorSharding {
        with(.only(axis: axis, index: index))
    }

    /// Returns the part of the tensor that a rank holds.
    ///
    /// - Parameters:
    ///   - rank: The rank.
    ///   - mesh: All ranks.
    /// - Returns: The part, to be declared with the rank's memory; an empty one if the rank does
    ///   not have the tensor.
    /// - Throws: `ShardingError` if a step is impossible.
    public func shard(of rank: Int, in mesh: RankMesh) throws(ShardingError) -> TensorShard {
        guard let local = try local(of: rank, in: mesh) else { return TensorShard(noneOf: shape) }
        return TensorShard(
            shape: shape, local, try PieceHolders(of: local.pieces, self, rank, mesh))
    }

    /// Returns the memory of a rank for the tensor.
    ///
    /// - Parameters:
    ///   - rank: The rank.
    ///   - mesh: All ranks.
    ///   - count: Number of steps to take; nil for all.
    /// - Returns: The rank's memory and the pieces in it; nil if the rank does not have the tensor.
    /// - Throws: `ShardingError` if a step is impossible.
    package func local(
        of rank: Int, in mesh: RankMesh, steps count: Int? = nil
    ) throws(ShardingError) -> LocalTensor? {
        var local = try LocalTensor(whole: shape)
        for step in steps.prefix(count ?? steps.count) {
            guard let next = try local.applying(step, rank, mesh) else { return nil }
            local = next
        }
        return local
    }
}
