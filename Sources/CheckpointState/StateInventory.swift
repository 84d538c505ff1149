public import CheckpointFormat
public import CheckpointSharding

/// The tensors and objects that a walk over providers found, in order.
public struct StateInventory: Sendable {
    /// Tensors in the order in which they were described.
    public private(set) var tensors: [TensorItem] = []
    /// Objects in the order in which they were described.
    public private(set) var objects: [ObjectItem] = []
    /// Receives the objects of a checkpoint that no item takes.
    package private(set) var objectReceiver: ObjectReceiver?
    private var prefix = ""
    private var group = defaultGroup

    /// Name of the group of state that names no group.
    public static let defaultGroup = "state"

    package init() {}

    /// Describes a provider and checks the names.
    ///
    /// - Parameter provider: the provider to describe.
    /// - Throws: `StateError` if two tensors or two objects share a name, or a name is empty or too
    ///   long; any error of the provider.
    package init(of provider: any StateProvider) throws {
        try self.init(unchecked: provider)
        try checkNames()
    }

    /// Describes a provider without checking names, for callers that have seen these names before
    /// or check them later.
    ///
    /// - Parameter provider: the provider to describe.
    /// - Throws: any error of the provider.
    package init(unchecked provider: any StateProvider) throws { try provider.describe(to: &self) }

    /// Checks that names are unique and have a valid length. Shards of one tensor share its name.
    ///
    /// - Throws: `StateError` if a name is empty or too long, if two tensors or two objects share
    ///   one, or if two shards of one tensor have the same elements.
    package func checkNames() throws(StateError) {
        let shared = Set(try Self.repeated(tensors.map(\.name), "tensor"))
        if !shared.isEmpty {
            let items = Dictionary(grouping: tensors) { ByteName($0.name) }
            for name in shared { try Self.checkShards(items[name] ?? []) }
        }
        if let name = try Self.repeated(objects.map(\.name), "object").first {
            throw StateError("two objects have the name \(name)")
        }
    }

    /// Adds a tensor.
    ///
    /// - Parameters:
    ///   - name: name of the tensor; the names of enclosing states are put before it.
    ///   - view: memory and layout of the tensor.
    ///   - role: the tensor's purpose in the training loop.
    ///   - group: mutation group; nil means the group of the enclosing `CompositeState`.
    public mutating func add(
        tensor name: String, _ view: TensorView, role: TensorRole, group: String? = nil
    ) {
        tensors.append(
            TensorItem(
                name: prefix + name, view: view, shard: nil, role: role, group: group ?? self.group)
        )
    }

    /// Adds a rank's shard of a tensor.
    ///
    /// - Parameters:
    ///   - name: name of the tensor, the same on all ranks; the names of enclosing states are put
    ///     before it.
    ///   - view: memory of the rank, with as many elements as `shard.memoryShape`.
    ///   - shard: the part of the tensor that is in the memory.
    ///   - role: the tensor's purpose in the training loop.
    ///   - group: mutation group; nil means the group of the enclosing `CompositeState`.
    /// - Throws: `StateError` if the memory does not have the size of the shard's.
    public mutating func add(
        tensor name: String, _ view: TensorView, of shard: TensorShard, role: TensorRole,
        group: String? = nil
    ) throws(StateError) {
        let name = prefix + name
        guard TensorShape.elementCount(view.shape) == TensorShape.elementCount(shard.memoryShape)
        else {
            throw StateError(
                "tensor \(name): the memory has shape \(view.shape), and this rank's shard of"
                    + " \(shard.shape) needs \(shard.memoryShape)")
        }
        guard TensorShape.byteCount(shard.shape, view.type) != nil else {
            throw StateError("tensor \(name): \(shard.shape) is not a shape of \(view.type)")
        }
        tensors.append(
            TensorItem(
                name: name, view: view, shard: shard, role: role, group: group ?? self.group))
    }

    /// Removes all tensors.
    mutating func removeTensors() { tensors = [] }

    /// Adds an item as it is.
    mutating func add(_ item: TensorItem) { tensors.append(item) }

    /// Adds the tensors of another inventory, under their full names and with their groups.
    package mutating func add(tensorsOf other: StateInventory) {
        // An array is shared where it can be: a copy of thousands of items takes milliseconds.
        if tensors.isEmpty { tensors = other.tensors } else { tensors += other.tensors }
    }

    /// Adds an object.
    ///
    /// - Parameters:
    ///   - name: name of the object; the names of enclosing states are put before it.
    ///   - role: the object's purpose in the training loop.
    ///   - encoding: encoding of its bytes.
    ///   - freeze: takes the current value; called during `save`, on the trainer's thread, and must
    ///     return immediately. The closure that it returns encodes the value later, on another
    ///     thread.
    ///   - restore: called with the bytes that a frozen object returned, to install the value.
    public mutating func add(
        object name: String, role: ObjectRole, encoding: ObjectEncoding,
        freeze: @escaping () throws -> FrozenObject, restore: @escaping ([UInt8]) throws -> Void
    ) {
        objects.append(
            ObjectItem(
                name: prefix + name, role: role, encoding: encoding, freeze: freeze,
                restore: restore))
    }

    /// Adds an object that belongs to one rank, under a name with its coordinates. That of the
    /// first rank is added under the plain name, too, for other meshes.
    ///
    /// - Parameters:
    ///   - name: name of the object, the same on all ranks.
    ///   - role: the object's purpose in the training loop.
    ///   - encoding: encoding of its bytes.
    ///   - freeze: as of other objects.
    ///   - restore: as of other objects.
    ///   - rank: the rank.
    ///   - mesh: all ranks.
    ///   - restoreFirst: installs this rank's value from the bytes of the first rank's; nil if a
    ///     restore on another mesh must not do so.
    /// - Throws: `ShardingError` if the mesh has no such rank, or the name of an axis cannot be
    ///   part of the name of an object.
    package mutating func add(
        objectOfRank name: String, role: ObjectRole, encoding: ObjectEncoding,
        freeze: @escaping () throws -> FrozenObject, restore: @escaping ([UInt8]) throws -> Void,
        rank: Int, in mesh: RankMesh, restoreFirst: (([UInt8]) throws -> Void)?
    ) throws(ShardingError) {
        add(
            object: "\(name).\(try mesh.coordinates(of: rank))", role: role, encoding: encoding,
            freeze: freeze, restore: restore)
        objects[objects.count - 1].ownership = RankOwnership(
            name: prefix + name, rank: rank, of: mesh.worldSize, restoreFirst: restoreFirst)
        guard rank == 0 else { return }
        // On the same mesh, the object above has the value.
        add(object: name, role: role, encoding: encoding, freeze: freeze, restore: { _ in })
    }

    /// Takes all objects of a checkpoint that are not described, so that a restore does not have to
    /// know their names.
    ///
    /// - Parameter receive: called with name, role, encoding and bytes of each, by the thread that
    ///   restores.
    package mutating func receiveOtherObjects(
        _ receive: @escaping (String, ObjectRole, ObjectEncoding, [UInt8]) throws -> Void
    ) {
        objectReceiver = ObjectReceiver(receive: receive)
    }

    /// Describes a child under a name and in a group.
    ///
    /// - Parameters:
    ///   - name: prefix of the child's names, joined with a dot; an empty name adds nothing.
    ///   - group: mutation group of all tensors inside that do not name a group; nil keeps the
    ///     enclosing group.
    ///   - body: adds the child to the inventory.
    /// - Throws: rethrows the error of `body`.
    public mutating func nest(
        _ name: String, group: String? = nil, _ body: (inout StateInventory) throws -> Void
    ) rethrows {
        let outer = (prefix, self.group)
        defer { (prefix, self.group) = outer }
        if !name.isEmpty { prefix += name + "." }
        if let group { self.group = group }
        try body(&self)
    }

    /// Checks the lengths of names, and returns those that occur again.
    private static func repeated(
        _ names: [String], _ what: String
    ) throws(StateError) -> [ByteName] {
        var seen = Set<ByteName>(minimumCapacity: names.count)
        var repeated: [ByteName] = []
        for name in names {
            guard (1...Limits.nameBytesMax).contains(name.utf8.count) else {
                throw StateError(
                    "a \(what)'s name has \(name.utf8.count) bytes, not 1 to \(Limits.nameBytesMax)"
                )
            }
            if !seen.insert(ByteName(name)).inserted { repeated.append(ByteName(name)) }
        }
        return repeated
    }

    /// Checks that items with one name are shards of one tensor.
    private static func checkShards(_ items: [TensorItem]) throws(StateError) {
        let first = items[0]
        for item in items {
            guard item.shard != nil else {
                throw StateError("two tensors have the name \(item.name)")
            }
            guard item.view.type == first.view.type, item.shape == first.shape,
                item.role == first.role, item.group == first.group
            else {
                throw StateError(
                    "shards of tensor \(item.name) are declared with different types, shapes,"
                        + " roles or groups: \(first.view.type) \(first.shape) in group"
                        + " \(first.group), and \(item.view.type) \(item.shape) in group"
                        + " \(item.group)")
            }
        }
        let parts = items.flatMap { $0.shard?.parts ?? [] }.map(\.piece.elements)
        guard ElementCover.fault(parts, in: first.shape, allowsHoles: true) == nil else {
            throw StateError("two shards of tensor \(first.name) have the same elements")
        }
    }
}
