public import CheckpointFormat
internal import CheckpointSharding

/// A provider of any `Codable` value: random generator, data cursor, scheduler, configuration. The
/// value is stored as JSON. Its size is unknown until it is encoded, on a thread of the engine and
/// not on the trainer's.
public struct ObjectState<Value: Codable & Sendable>: StateProvider {
    private let name: String
    private let role: ObjectRole
    private let get: () -> Value
    private let set: (Value) -> Void

    /// Describes a `Codable` value.
    ///
    /// - Parameters:
    ///   - name: name of the object; the names of enclosing states are put before it.
    ///   - role: the object's purpose in the training loop.
    ///   - get: returns the current value; called during `save`, on the trainer's thread.
    ///   - set: installs a restored value; called by the thread that restores.
    public init(
        _ name: String, role: ObjectRole = .other, get: @escaping () -> Value,
        set: @escaping (Value) -> Void
    ) {
        self.name = name
        self.role = role
        self.get = get
        self.set = set
    }

    public func describe(to inventory: inout StateInventory) {
        inventory.add(
            object: name, role: role, encoding: .json,
            freeze: { [get] in
                let value = get()
                return { try ObjectCoding.encode(value) }
            },
            restore: { [set] in set(try ObjectCoding.decode($0)) })
    }
}
