/// Elements that two ranks hold, and that they do not hold alike.
public struct ReplicaDifference: Equatable, Sendable {
    /// The kind of a difference.
    public enum Kind: Equatable, Sendable {
        /// The bytes, in these ranges of the elements' bytes.
        case bytes([Range<Int>])
        /// The sizes of the chunks, so that they cannot be compared.
        case chunkSizes
        /// No rank has saved exactly these elements, and this one expects another to.
        case notSaved
    }

    /// Name of the tensor.
    public let tensor: String
    /// The elements, such as `[0..<16, 4..<8]`.
    public let elements: String
    /// Size of the elements in bytes.
    public let byteCount: Int
    /// The rank whose copy it is.
    public let rank: Int
    /// The rank that has saved the elements; nil if none has.
    public let owner: Int?
    /// The kind of the difference.
    public let kind: Kind
}

extension ReplicaDifference {
    /// The failure of a save whose ranks differ.
    var error: CheckpointError {
        let ranks = "ranks \(owner ?? rank) and \(rank) both hold \(elements) of tensor \(tensor)"
        let (message, remedy) =
            switch kind {
            case .bytes:
                (
                    ranks + ", with different bytes",
                    "Its copies have diverged, or two tensors have the same name: run"
                        + " ckpt verify --replicas to list the differences"
                )
            case .chunkSizes:
                (
                    ranks + ", in chunks that cannot be compared",
                    "Give all ranks the same chunk size"
                )
            case .notSaved:
                (
                    "rank \(rank) holds \(elements) of tensor \(tensor) and expects another rank"
                        + " to save it, but none has",
                    "Declare the same tensors on all ranks that hold them"
                )
            }
        return CheckpointError(.mismatch, message, remedy: remedy, names: [tensor])
    }
}
