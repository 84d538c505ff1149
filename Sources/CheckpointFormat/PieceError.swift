/// A piece that breaks a rule by itself.
package struct PieceError: Error, Equatable, CustomStringConvertible {
    package enum Rule: Equatable, Sendable {
        /// There are too many dimensions, or one of them has no stride.
        case dimensions
        /// An extent is 0 or negative.
        case empty
        /// An element is outside the tensor, or occurs twice.
        case positions(of: Int)
        /// An element is outside the rank's memory, or two are at one place there.
        case localPositions(of: Int)
    }

    package var rule: Rule
    package var piece: ShardPiece

    init(_ rule: Rule, _ piece: ShardPiece) {
        self.rule = rule
        self.piece = piece
    }

    package var description: String {
        switch rule {
        case .dimensions:
            "a piece of \(piece.shape.count) dimensions has \(piece.strides.count) and"
                + " \(piece.localStrides.count) strides; the maximum is \(Limits.rankOfTensorMax)"
        case .empty: "a piece of shape \(piece.shape) is empty"
        case .positions(let count):
            "a piece of shape \(piece.shape) at offset \(piece.offset) with strides"
                + " \(piece.strides) leaves its tensor of \(count) elements or overlaps itself"
        case .localPositions(let count):
            "a piece of shape \(piece.shape) at local offset \(piece.localOffset) with local"
                + " strides \(piece.localStrides) leaves its memory of \(count) elements or"
                + " overlaps itself"
        }
    }
}
