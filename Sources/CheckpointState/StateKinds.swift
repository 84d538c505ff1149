public import CheckpointFormat
public import CheckpointSharding
internal import Foundation

/// Several providers under one name, nested to any depth:
///
///     CompositeState {
///         CompositeState("model", group: "body") { TensorState("weight", view) }
///         ObjectState("rng", role: .rng, get: { trainer.random }, set: { trainer.random = $0 })
///     }
///
/// It is the composite state provider of the second DataStates-LLM paper.
public struct CompositeState: StateProvider {
    private let name: String
    private let group: String?
    private let children: [any StateProvider]

    /// Groups the providers that a builder returns.
    ///
    /// - Parameters:
    ///   - name: prefix of the children's names, joined with a dot; an empty name adds nothing.
    ///   - group: mutation group of all tensors inside that do not name a group.
    ///   - children: the providers, in the order in which they are described.
    /// - Throws: rethrows the error of `children`.
    public init(
        _ name: String = "", group: String? = nil,
        @StateBuilder _ children: () throws -> [any StateProvider]
    ) rethrows {
        self.init(name, group: group, children: try children())
    }

    /// Groups the providers of a list.
    ///
    /// - Parameters:
    ///   - name: prefix of the children's names, joined with a dot; an empty name adds nothing.
    ///   - group: mutation group of all tensors inside that do not name a group.
    ///   - children: the providers, in the order in which they are described.
    public init(_ name: String = "", group: String? = nil, children: [any StateProvider]) {
        self.name = name
        self.group = group
        self.children = children
    }

    public func describe(to inventory: inout StateInventory) throws {
        try inventory.nest(name, group: group) { inventory in
            for child in children { try child.describe(to: &inventory) }
        }
    }
}

/// The earlier name of `CompositeState`.
@available(*, deprecated, renamed: "CompositeState")
public typealias State = CompositeState

/// Result builder that collects the providers in the braces of a `CompositeState`. The compiler calls its
/// methods for single providers, lists, loops and conditions.
@resultBuilder
public enum StateBuilder {
    /// Starts a list with one provider.
    ///
    /// - Parameter provider: the value of an expression.
    /// - Returns: a list of this provider.
    public static func buildExpression(_ provider: any StateProvider) -> [any StateProvider] { [provider] }
    /// Starts a list with several providers.
    ///
    /// - Parameter providers: the value of an expression.
    /// - Returns: the same list.
    public static func buildExpression(_ providers: [any StateProvider]) -> [any StateProvider] { providers }
    /// Joins the lists of consecutive expressions.
    ///
    /// - Parameter parts: one list per expression.
    /// - Returns: all providers, in order.
    public static func buildBlock(_ parts: [any StateProvider]...) -> [any StateProvider] { parts.flatMap { $0 } }
    /// Joins the lists of a `for` loop.
    ///
    /// - Parameter parts: one list per iteration.
    /// - Returns: all providers, in order.
    public static func buildArray(_ parts: [[any StateProvider]]) -> [any StateProvider] { parts.flatMap { $0 } }
    /// Returns the list of an `if` without `else`.
    ///
    /// - Parameter part: the list; nil if the condition is false.
    /// - Returns: the list, or an empty list.
    public static func buildOptional(_ part: [any StateProvider]?) -> [any StateProvider] { part ?? [] }
    /// Returns the list of the first branch of an `if` or `switch`.
    ///
    /// - Parameter part: the list of the branch.
    /// - Returns: the same list.
    public static func buildEither(first part: [any StateProvider]) -> [any StateProvider] { part }
    /// Returns the list of another branch of an `if` or `switch`.
    ///
    /// - Parameter part: the list of the branch.
    /// - Returns: the same list.
    public static func buildEither(second part: [any StateProvider]) -> [any StateProvider] { part }
}

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

/// A provider of bytes of known size that only the host program understands, stored as a tensor of
/// `u8`.
public struct RawBytesState: StateProvider {
    private let name: String
    private let memory: LentMemory

    /// Describes bytes of the host program.
    ///
    /// - Parameters:
    ///   - name: name of the tensor that holds the bytes.
    ///   - memory: memory to save and restore completely.
    public init(_ name: String, _ memory: LentMemory) {
        self.name = name
        self.memory = memory
    }

    public func describe(to inventory: inout StateInventory) throws {
        let view = try TensorView(memory, type: .u8, shape: [memory.byteCount])
        inventory.add(tensor: name, view, role: .other)
    }
}

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

/// A provider of an optimizer: tensors per parameter (moments, masters) and the step count.
public struct OptimizerState: StateProvider {
    private let name: String
    private let tensors: [TensorState]
    private let step: ObjectState<Int>

    /// Describes an optimizer.
    ///
    /// - Parameters:
    ///   - name: prefix of the names of its tensors and of its step count.
    ///   - tensors: every per-parameter tensor, with the name to store it under: `m.weight`,
    ///     `v.weight`, `master.weight`. A nil group means the group of the enclosing `CompositeState`.
    ///   - getStep: returns the number of updates made so far; called during `save`, on the
    ///     trainer's thread.
    ///   - setStep: installs a restored number of updates.
    public init(
        _ name: String = "optimizer", tensors: [(name: String, view: TensorView, group: String?)],
        getStep: @escaping () -> Int, setStep: @escaping (Int) -> Void
    ) {
        self.name = name
        self.tensors = tensors.map { TensorState($0.name, $0.view, role: .optimizer, group: $0.group) }
        self.step = ObjectState("step", role: .optimizer, get: getStep, set: setStep)
    }

    public func describe(to inventory: inout StateInventory) throws {
        try inventory.nest(name) { inventory in
            for tensor in tensors { try tensor.describe(to: &inventory) }
            step.describe(to: &inventory)
        }
    }
}

/// JSON encoding of values that reads back bit for bit: numbers in their shortest exact form, keys
/// in a fixed order.
enum ObjectCoding {
    private static let infinity = "inf", negativeInfinity = "-inf", nan = "nan"

    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: infinity, negativeInfinity: negativeInfinity, nan: nan)
        return Array(try encoder.encode(value))
    }

    static func decode<Value: Decodable>(_ bytes: [UInt8]) throws -> Value {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: infinity, negativeInfinity: negativeInfinity, nan: nan)
        return try decoder.decode(Value.self, from: Data(bytes))
    }
}
