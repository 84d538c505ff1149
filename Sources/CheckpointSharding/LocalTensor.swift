package import CheckpointFormat

/// A rank's memory for a tensor, and the pieces of the tensor that are in it.
package struct LocalTensor: Hashable, Sendable {
    /// Extents of the memory, which is row-major.
    package private(set) var shape: [Int]
    /// The pieces; none is empty. Positions that are in no piece are padding.
    package private(set) var pieces: [ShardPiece]

    /// Creates the memory of a complete tensor.
    ///
    /// - Parameter shape: Shape of the tensor.
    /// - Throws: `ShardingError` if it is not a shape.
    package init(whole shape: [Int]) throws(ShardingError) {
        guard let count = TensorShape.elementCount(shape) else {
            throw ShardingError(.declaration, "\(shape) is not the shape of a tensor")
        }
        self.shape = shape
        pieces = count == 0 ? [] : [ShardPiece(ShardDescriptor(whole: shape), in: shape)]
    }

    /// Number of elements of the memory.
    package var count: Int { TensorShape.elementCount(shape) ?? 0 }

    /// A box of one memory and its place in another.
    struct Move {
        /// The box in the old memory.
        var box: ShardDescriptor
        /// First index of the box in the new memory.
        var origin: [Int]
    }

    /// Returns the memory that consists of boxes of this one.
    ///
    /// - Parameters:
    ///   - shape: Extents of the new memory, with as many dimensions as the old one.
    ///   - moves: The boxes.
    func moved(to shape: [Int], _ moves: [Move]) throws(ShardingError) -> LocalTensor {
        let new = try Self.strides(of: shape)
        let old = TensorShape.rowMajorStrides(self.shape)
        let inner = moves.filter { !$0.box.extent.contains(0) }.map { move in
            ShardPiece(
                shape: move.box.extent, offset: StridedElements(move.box, in: self.shape).offset,
                strides: old, localOffset: zip(move.origin, new).reduce(0) { $0 + $1.0 * $1.1 },
                localStrides: new)
        }
        return taking(inner, shape: shape)
    }

    /// Returns the memory that consists of pieces of this one.
    ///
    /// - Parameters:
    ///   - inner: The pieces of this memory; their own memory is the new one.
    ///   - shape: Extents of the new memory.
    func taking(_ inner: [ShardPiece], shape: [Int]) -> LocalTensor {
        var local = self
        local.shape = shape
        local.pieces = pieces.flatMap { piece in
            inner.flatMap { PieceIntersection.compose(piece, $0) }
        }
        return local
    }

    /// Returns the same memory with other extents and as many elements.
    func reshaped(_ shape: [Int]) -> LocalTensor {
        var local = self
        local.shape = shape
        return local
    }

    /// Returns the strides of a memory.
    ///
    /// - Throws: `ShardingError` if it would be too large.
    static func strides(of shape: [Int]) throws(ShardingError) -> [Int] {
        guard TensorShape.elementCount(shape) != nil else {
            throw ShardingError(.declaration, "a rank cannot hold a tensor of shape \(shape)")
        }
        return TensorShape.rowMajorStrides(shape)
    }
}
