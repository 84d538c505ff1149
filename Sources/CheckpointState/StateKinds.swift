public import CheckpointFormat
internal import Foundation

/// Several providers under one name, nested to any depth:
///
///     State {
///         State("model", group: "body") { TensorState("weight", view) }
///         ObjectState("rng", role: .rng, get: { trainer.random }, set: { trainer.random = $0 })
///     }
public struct State: StateProvider {
    private let name: String
    private let group: String?
    private let children: [any StateProvider]

    /// - Parameters:
    ///   - name: joined to the children's names with a dot; empty adds nothing.
    ///   - group: the group of mutation of all tensors inside that name none themselves.
    public init(_ name: String = "", group: String? = nil, @StateBuilder _ children: () -> [any StateProvider]) {
        self.init(name, group: group, children: children())
    }

    /// As above, from a list.
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

/// Collects the providers in the braces of a `State`.
@resultBuilder
public enum StateBuilder {
    public static func buildExpression(_ provider: any StateProvider) -> [any StateProvider] { [provider] }
    public static func buildExpression(_ providers: [any StateProvider]) -> [any StateProvider] { providers }
    public static func buildBlock(_ parts: [any StateProvider]...) -> [any StateProvider] { parts.flatMap { $0 } }
    public static func buildArray(_ parts: [[any StateProvider]]) -> [any StateProvider] { parts.flatMap { $0 } }
    public static func buildOptional(_ part: [any StateProvider]?) -> [any StateProvider] { part ?? [] }
    public static func buildEither(first part: [any StateProvider]) -> [any StateProvider] { part }
    public static func buildEither(second part: [any StateProvider]) -> [any StateProvider] { part }
}

/// One tensor.
public struct TensorState: StateProvider {
    private let name: String
    private let view: TensorView
    private let role: TensorRole
    private let group: String?

    /// - Parameter group: the group of mutation; that of the enclosing `State` if nil.
    public init(_ name: String, _ view: TensorView, role: TensorRole = .parameter, group: String? = nil) {
        self.name = name
        self.view = view
        self.role = role
        self.group = group
    }

    public func describe(to inventory: inout StateInventory) {
        inventory.add(tensor: name, view, role: role, group: group)
    }
}

/// Bytes that only the host understands, of known size, as a tensor of `u8`.
public struct RawBytesState: StateProvider {
    private let name: String
    private let memory: LentMemory

    /// - Parameter memory: all of it is saved and restored.
    public init(_ name: String, _ memory: LentMemory) {
        self.name = name
        self.memory = memory
    }

    public func describe(to inventory: inout StateInventory) throws {
        let view = try TensorView(memory, type: .u8, shape: [memory.byteCount])
        inventory.add(tensor: name, view, role: .other)
    }
}

/// Any `Codable` value: random generator, data cursor, scheduler, configuration. Stored as JSON, its size unknown until it is
/// encoded, off the trainer's thread.
public struct ObjectState<Value: Codable & Sendable>: StateProvider {
    private let name: String
    private let role: ObjectRole
    private let get: @Sendable () -> Value
    private let set: @Sendable (Value) -> Void

    /// - Parameters:
    ///   - get: the value as it is now; called during `save`, on the trainer's thread.
    ///   - set: puts a restored value in place.
    public init(
        _ name: String, role: ObjectRole = .other, get: @escaping @Sendable () -> Value,
        set: @escaping @Sendable (Value) -> Void
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

/// Bytes of the host's own making, of unknown size until asked for.
public struct EncodedState: StateProvider {
    private let name: String
    private let role: ObjectRole
    private let freeze: @Sendable () throws -> FrozenObject
    private let restore: @Sendable ([UInt8]) throws -> Void

    /// - Parameters:
    ///   - freeze: takes the value as it is now and returns how to encode it later, on another thread.
    ///   - restore: decodes bytes and puts the value in place.
    public init(
        _ name: String, role: ObjectRole = .other, freeze: @escaping @Sendable () throws -> FrozenObject,
        restore: @escaping @Sendable ([UInt8]) throws -> Void
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

/// An optimizer: tensors per parameter (moments, masters) and its step count.
public struct OptimizerState: StateProvider {
    private let name: String
    private let tensors: [TensorState]
    private let step: ObjectState<Int>

    /// - Parameters:
    ///   - tensors: every per-parameter tensor, named as it should appear: `m.weight`, `v.weight`, `master.weight`.
    ///   - step: number of updates made so far.
    public init(
        _ name: String = "optimizer", tensors: [(name: String, view: TensorView, group: String?)],
        getStep: @escaping @Sendable () -> Int, setStep: @escaping @Sendable (Int) -> Void
    ) {
        self.name = name
        self.tensors = tensors.map { TensorState($0.name, $0.view, role: .optimizer, group: $0.group) }
        self.step = ObjectState("step", role: .optimizer, get: getStep, set: setStep)
    }

    public func describe(to inventory: inout StateInventory) {
        inventory.nest(name) { inventory in
            for tensor in tensors { tensor.describe(to: &inventory) }
            step.describe(to: &inventory)
        }
    }
}

/// Values as JSON that reads back bit for bit: numbers in their shortest exact form, keys in a fixed order.
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
