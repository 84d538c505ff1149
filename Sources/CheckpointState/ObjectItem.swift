public import CheckpointFormat
internal import CheckpointSharding

/// An object of the state. It goes to other threads with a save, but only the thread that saves or
/// restores calls its closures.
@safe
public struct ObjectItem: @unchecked Sendable {
    /// Full name, unique among objects.
    public var name: String
    /// The object's purpose in the training loop.
    public var role: ObjectRole
    /// Encoding of its bytes.
    public var encoding: ObjectEncoding
    /// Takes the current value, on the trainer's thread, and returns a closure that encodes it
    /// later, on another thread.
    package var freeze: () throws -> FrozenObject
    /// Decodes bytes and installs the value.
    package var restore: (_ bytes: [UInt8]) throws -> Void
    /// The rank that the object belongs to; nil if it belongs to the full state.
    package var ownership: RankOwnership?
}
