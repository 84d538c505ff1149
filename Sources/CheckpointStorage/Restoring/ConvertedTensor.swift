public import CheckpointFormat

/// A tensor whose elements a restore has converted.
public struct ConvertedTensor: Hashable, Sendable, CustomStringConvertible {
    /// Name of the tensor.
    public let name: String
    /// Type of the elements in the checkpoint.
    public let from: ElementType
    /// Type of the elements in the state.
    public let to: ElementType

    public var description: String { "\(name) from \(from) to \(to)" }
}
