/// The part of a tensor that a shard holds.
package enum ShardRegion: Hashable, Sendable {
    /// A box, row-major in the shard's bytes.
    case box(ShardDescriptor)
    /// Pieces, which together fill the shard's bytes.
    case pieces([ShardPiece])

    /// Number of elements. The region must be valid.
    package var elementCount: Int {
        switch self {
        case .box(let box): TensorShape.elementCount(box.extent) ?? 0
        case .pieces(let pieces): pieces.reduce(0) { $0 + $1.count }
        }
    }

    /// The box; nil if the region is given as pieces.
    package var box: ShardDescriptor? {
        if case .box(let box) = self { box } else { nil }
    }

    /// Returns the region as pieces; empty if it has no elements.
    ///
    /// - Parameter shape: Shape of the tensor, in which the region lies.
    package func pieces(in shape: [Int]) -> [ShardPiece] {
        switch self {
        case .box(let box): box.extent.contains(0) ? [] : [ShardPiece(box, in: shape)]
        case .pieces(let pieces): pieces
        }
    }

    /// Returns the boxes that make up the region: one for a box, and for a piece as many as its
    /// strides demand.
    ///
    /// - Parameter shape: Shape of the tensor, in which the region lies.
    package func boxes(in shape: [Int]) -> [ShardDescriptor] {
        switch self {
        case .box(let box): [box]
        case .pieces(let pieces):
            pieces.flatMap { ShardDescriptor.boxes($0.elements, in: shape) }
        }
    }
}
