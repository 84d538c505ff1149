public import CheckpointFormat
public import CheckpointSharding

/// A provider of one tensor.
public struct TensorState: StateProvider {
    private let name: String
    private let view: TensorView
    private let shard: TensorShard?
    private let role: TensorRole
    private let group: String?

    /// Describes a tensor.
    ///
    /// - Parameters:
    ///   - name: name of the tensor; the names of enclosing states are put before it.
    ///   - view: memory and layout of the tensor.
    ///   - role: the tensor's purpose in the training loop.
    ///   - group: mutation group; nil means the group of the enclosing `CompositeState`.
    public init(_ name: String, _ view: TensorView, role: TensorRole = .parameter, group: String? = nil) {
        self.name = name
        self.view = view
        shard = nil
        self.role = role
        self.group = group
    }

    /// Describes a rank's shard of a tensor.
    ///
    /// - Parameters:
    ///   - name: name of the tensor, the same on all ranks; the names of enclosing states are put
    ///     before it.
    ///   - view: memory of the rank, with as many elements as `shard.memoryShape`.
    ///   - shard: the part of the tensor that is in the memory.
    ///   - role: the tensor's purpose in the training loop.
    ///   - group: mutation group; nil means the group of the enclosing `CompositeState`.
    public init(
        _ name: String, _ view: TensorView, of shard: TensorShard, role: TensorRole = .parameter,
        group: String? = nil
    ) {
        self.name = name
        self.view = view
        self.shard = shard
        self.role = role
        self.group = group
    }

    public func describe(to inventory: inout StateInventory) throws {
        if let shard {
            try inventory.add(tensor: name, view, of: shard, role: role, group: group)
        } else {
            inventory.add(tensor: name, view, role: role, group: group)
        }
    }
}
