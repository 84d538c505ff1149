public import CheckpointFormat

/// One object of a checkpoint (state that is not a tensor), as its manifest describes it.
public struct ObjectInfo: Sendable, Equatable {
    /// The name, unique among the checkpoint's objects.
    public let name: String
    /// The object's role in the training loop.
    public let role: ObjectRole
    /// The encoding of its bytes.
    public let encoding: ObjectEncoding
    /// Size in bytes, encoded.
    public let byteCount: Int
}
