internal import CheckpointFormat

/// A declaration that cannot be meant, or tensors of several ranks that do not fit together.
package struct ShardingError: Error, Equatable, CustomStringConvertible {
    package enum Kind: Equatable, Sendable {
        /// A declaration is impossible for its tensor or mesh.
        case declaration
        /// Ranks declare one tensor with different types or shapes.
        case disagreement
        /// No rank holds some elements.
        case hole
        /// Two ranks hold the same elements, but not as replicas of one piece.
        case overlap
        /// The pieces have so little in common that their check would take too long.
        case irregular
    }

    package var kind: Kind
    package var tensor: String
    /// Ranks that the error concerns, ascending.
    package var ranks: [Int]
    private var message: String

    init(_ kind: Kind, _ message: String, tensor: String = "", ranks: [Int] = []) {
        self.kind = kind
        self.message = message
        self.tensor = tensor
        self.ranks = ranks
    }

    package var description: String { tensor.isEmpty ? message : "tensor \(tensor): \(message)" }

    /// Returns the error with the tensor that it concerns.
    func of(_ tensor: String) -> ShardingError {
        var error = self
        error.tensor = tensor
        return error
    }
}
