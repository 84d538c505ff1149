public import CheckpointFormat
public import CheckpointSharding

/// An object of the host program that describes state and lends its bytes (the "state provider" of
/// the second DataStates-LLM paper). Providers compose: see `CompositeState`.
///
/// A provider need not be `Sendable`: it is called only by the thread that saves or restores.
public protocol StateProvider {
    /// Adds the state that this provider owns to an inventory, in a stable order. The engine calls
    /// it at every save and restore, on the calling thread. It must be quick and must not change
    /// the state.
    ///
    /// - Parameter inventory: the inventory to add to.
    /// - Throws: any error. The save or restore then fails before anything is captured.
    func describe(to inventory: inout StateInventory) throws
}

/// A tensor of the state.
public struct TensorItem: Sendable {
    /// Full name, unique among tensors.
    public var name: String
    /// Memory and layout of the tensor, or of a rank's shard of it.
    public var view: TensorView
    /// The shard that the memory holds; nil if it holds the complete tensor.
    public var shard: TensorShard?
    /// The tensor's purpose in the training loop.
    public var role: TensorRole
    /// Name of the mutation group; by default the group of the enclosing `CompositeState`.
    public var group: String
    /// In an inventory that is divided into pieces, the elements that the view has; nil if it has
    /// none.
    package var region: ShardRegion?
    /// In an inventory that is divided into pieces, the ranks that hold the same elements,
    /// ascending, this one among them; empty if only this one is known to.
    package var holders: [Int] = []

    /// Shape of the complete tensor.
    package var shape: [Int] { shard?.shape ?? view.shape }
}

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
}

/// A taker of objects that a state does not describe. Only the thread that restores calls it.
@safe
package struct ObjectReceiver: @unchecked Sendable {
    fileprivate let receive: (String, ObjectRole, ObjectEncoding, [UInt8]) throws -> Void

    /// Returns an item that passes the bytes of an object on.
    package func item(
        _ name: String, _ role: ObjectRole, _ encoding: ObjectEncoding
    ) -> ObjectItem {
        ObjectItem(
            name: name, role: role, encoding: encoding, freeze: { { [] } },
            restore: { [receive] in try receive(name, role, encoding, $0) })
    }
}

/// A value that no longer changes, encoded when the pipeline has time for it, on a thread of the
/// engine.
///
/// - Returns: the bytes of the value.
/// - Throws: any error of the encoding.
public typealias FrozenObject = @Sendable () throws -> [UInt8]

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

    /// Checks that names are unique and have a valid length.
    ///
    /// - Throws: `StateError` if two tensors or two objects share a name, or a name is empty or too
    ///   long.
    package func checkNames() throws(StateError) {
        try Self.checkNames(tensors.map(\.name), "tensor")
        try Self.checkNames(objects.map(\.name), "object")
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

    private static func checkNames(_ names: [String], _ what: String) throws(StateError) {
        // Compared as bytes: Swift treats strings as equal if they differ only in how an accented
        // letter is composed.
        var seen = Set<[UInt8]>(minimumCapacity: names.count)
        for name in names {
            guard (1...Limits.nameBytesMax).contains(name.utf8.count) else {
                throw StateError(
                    "a \(what)'s name has \(name.utf8.count) bytes, not 1 to \(Limits.nameBytesMax)"
                )
            }
            guard seen.insert(Array(name.utf8)).inserted else {
                throw StateError("two \(what)s have the name \(name)")
            }
        }
    }
}
