public import CheckpointFormat

/// An object of the host program that describes state and lends its bytes (the "state provider" of the second
/// DataStates-LLM paper). Providers compose: see `State`.
public protocol StateProvider: Sendable {
    /// Adds what this provider owns, in a stable order. Called at every save and restore, on the thread that asked; it must be quick
    /// and must not change the state.
    func describe(to inventory: inout StateInventory) throws
}

/// One tensor of the state.
public struct TensorItem: Sendable {
    /// Full name, unique among tensors.
    public var name: String
    /// Where it lies.
    public var view: TensorView
    /// What it is to the training loop.
    public var role: TensorRole
    /// Name of the group that is mutated together; the group of the enclosing `State` by default.
    public var group: String
}

/// One object of the state.
public struct ObjectItem: Sendable {
    /// Full name, unique among objects.
    public var name: String
    /// What it is to the training loop.
    public var role: ObjectRole
    /// How its bytes are to be read.
    public var encoding: ObjectEncoding
    /// Takes the value as it is now, on the trainer's thread, and returns how to encode it later, on another.
    package var freeze: @Sendable () throws -> FrozenObject
    /// Decodes bytes and puts the value back.
    package var restore: @Sendable (_ bytes: [UInt8]) throws -> Void
}

/// A value that no longer changes, encoded when the pipeline has time for it.
public typealias FrozenObject = @Sendable () throws -> [UInt8]

/// What a walk over providers finds, in order.
public struct StateInventory: Sendable {
    /// Tensors in the order in which they were described.
    public private(set) var tensors: [TensorItem] = []
    /// Objects in the order in which they were described.
    public private(set) var objects: [ObjectItem] = []
    private var prefix = ""
    private var group = defaultGroup

    /// The group of state that names none.
    public static let defaultGroup = "state"

    package init() {}

    /// The inventory of one provider, with names checked.
    /// - Throws: `StateError` if two tensors or two objects share a name, or a name is empty or too long.
    package init(of provider: any StateProvider) throws {
        try self.init(unchecked: provider)
        try checkNames()
    }

    /// The inventory of one provider, for callers that have seen these names before, or check them later.
    package init(unchecked provider: any StateProvider) throws { try provider.describe(to: &self) }

    /// - Throws: as `init(of:)`.
    package func checkNames() throws(StateError) {
        try Self.checkNames(tensors.map(\.name), "tensor")
        try Self.checkNames(objects.map(\.name), "object")
    }

    /// Adds a tensor.
    /// - Parameter group: the group of mutation; that of the enclosing `State` if nil.
    public mutating func add(tensor name: String, _ view: TensorView, role: TensorRole, group: String? = nil) {
        tensors.append(TensorItem(name: prefix + name, view: view, role: role, group: group ?? self.group))
    }

    /// - Parameters:
    ///   - freeze: called during `save`; must return at once.
    ///   - restore: called with the bytes that a frozen object gave.
    public mutating func add(
        object name: String, role: ObjectRole, encoding: ObjectEncoding,
        freeze: @escaping @Sendable () throws -> FrozenObject, restore: @escaping @Sendable ([UInt8]) throws -> Void
    ) {
        objects.append(
            ObjectItem(name: prefix + name, role: role, encoding: encoding, freeze: freeze, restore: restore))
    }

    /// Describes a child under a name, which its names are joined to with a dot, and in a group.
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
        // As bytes: Swift takes strings for equal that differ only in how an accented letter is composed.
        var seen = Set<[UInt8]>(minimumCapacity: names.count)
        for name in names {
            guard (1...Limits.nameBytesMax).contains(name.utf8.count) else {
                throw StateError("a \(what)'s name has \(name.utf8.count) bytes, not 1 to \(Limits.nameBytesMax)")
            }
            guard seen.insert(Array(name.utf8)).inserted else { throw StateError("two \(what)s have the name \(name)") }
        }
    }
}
