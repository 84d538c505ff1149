internal import CheckpointFormat

/// An invalid declaration, or tensors of several ranks that do not fit together.
public struct ShardingError: Error, Equatable, CustomStringConvertible {
    /// Classes of errors.
    public enum Kind: Equatable, Sendable {
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

    /// The class of the error.
    public var kind: Kind
    /// Name of the tensor that the error concerns; empty if it concerns none.
    public var tensor: String
    /// Ranks that the error concerns, ascending.
    public var ranks: [Int]
    private var message: String

    init(_ kind: Kind, _ message: String, tensor: String = "", ranks: [Int] = []) {
        self.kind = kind
        self.message = message
        self.tensor = tensor
        self.ranks = ranks
    }

    public var description: String { tensor.isEmpty ? message : "tensor \(tensor): \(message)" }

    /// Returns the error with the tensor that it concerns.
    func of(_ tensor: String) -> ShardingError {
        var error = self
        error.tensor = tensor
        return error
    }
}
