public import CheckpointFormat
internal import CheckpointSharding

/// A provider of bytes that the host program encodes itself, of unknown size until they are
/// encoded.
public struct EncodedState: StateProvider {
    private let name: String
    private let role: ObjectRole
    private let freeze: () throws -> FrozenObject
    private let restore: ([UInt8]) throws -> Void

    /// Describes an object with its own encoding.
    ///
    /// - Parameters:
    ///   - name: name of the object; the names of enclosing states are put before it.
    ///   - role: the object's purpose in the training loop.
    ///   - freeze: takes the current value during `save`, on the trainer's thread, and returns a
    ///     closure that encodes it later, on another thread.
    ///   - restore: decodes bytes and installs the value.
    public init(
        _ name: String, role: ObjectRole = .other, freeze: @escaping () throws -> FrozenObject,
        restore: @escaping ([UInt8]) throws -> Void
    ) {
        self.name = name
        self.role = role
        self.freeze = freeze
        self.restore = restore
    }

    public func describe(to inventory: inout StateInventory) {
        inventory.add(object: name, role: role, encoding: .bytes, freeze: freeze, restore: restore)
    }
}
