internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointState
internal import Checkpointing

/// The state of the simulated trainer: tensors, adjacent in one mapping on huge pages that is
/// created once and kept, and a few objects.
final class TrainingState: StateProvider, Sendable {
    struct Tensor: Sendable {
        let specification: TensorSpecification
        let region: MemoryRegion
        let view: TensorView
    }

    /// A value that is not a tensor. Its bytes depend only on the step.
    struct Object: Sendable {
        let name: String
        let role: ObjectRole
        let value: @Sendable (_ step: Int) -> JSONValue
    }

    /// Tensors that are mutated together.
    struct Group: Sendable {
        let name: String
        let tensors: [Tensor]
    }

    let tensors: [Tensor]
    /// Groups that the update changes, in update order.
    let groups: [Group]
    /// Memory of all tensors, including gaps, rounded up to a full page.
    let memory: MemoryRegion
    private let objects: [Object]
    private let step = Monitor(0)
    private let restored = Monitor<[String: [UInt8]]>([:])

    /// Allocates the tensors, filled with zeros.
    ///
    /// - Parameters:
    ///   - specifications: the tensors, in order.
    ///   - objects: the objects, in order.
    /// - Throws: `OutOfMemory` if the system refuses the memory; `StateError` if a shape is
    ///   invalid.
    init(_ specifications: [TensorSpecification], objects: [Object]) throws {
        var end = 0
        let offsets = specifications.map { specification in
            // The same alignment as the allocators of training frameworks.
            let start = (end + 63) / 64 * 64
            end = start + specification.byteCount
            return start
        }
        let whole = try TensorBuffer(.u8, [roundedUpToPage(max(end, 1))])
        tensors = try zip(specifications, offsets).map { specification, offset in
            let view = try TensorView(
                whole.view.memory, type: specification.type, shape: specification.shape,
                strides: TensorShape.rowMajorStrides(specification.shape), byteOffset: offset)
            let region = whole.region[offset..<offset + specification.byteCount]
            return Tensor(specification: specification, region: region, view: view)
        }
        memory = whole.region
        groups = Self.groups(of: tensors)
        self.objects = objects
    }

    private static func groups(of tensors: [Tensor]) -> [Group] {
        var members: [String: [Tensor]] = [:]
        var names: [(name: String, block: Int)] = []
        for tensor in tensors where !tensor.specification.isFrozen {
            let name = tensor.specification.group
            if members[name] == nil { names.append((name, tensor.specification.block)) }
            members[name, default: []].append(tensor)
        }
        let sorted = names.enumerated().sorted { ($0.element.block, $0.offset) < ($1.element.block, $1.offset) }
        return sorted.map { Group(name: $0.element.name, tensors: members[$0.element.name] ?? []) }
    }

    /// Total size of all tensors in bytes, without gaps.
    var byteCount: Int { tensors.reduce(0) { $0 + $1.region.count } }

    func describe(to inventory: inout StateInventory) throws {
        for tensor in tensors {
            let specification = tensor.specification
            if let shard = specification.shard {
                try inventory.add(
                    tensor: specification.name, tensor.view, of: shard, role: specification.role,
                    group: specification.group)
            } else {
                inventory.add(
                    tensor: specification.name, tensor.view, role: specification.role,
                    group: specification.group)
            }
        }
        for object in objects {
            inventory.add(
                object: object.name, role: object.role, encoding: .json,
                freeze: { [step] in
                    let value = object.value(step.withLock { $0 })
                    return { value.text }
                },
                restore: { [restored] bytes in restored.withLock { $0[object.name] = bytes } })
        }
    }

    // MARK: Comparing

    /// Moves the step that the objects depend on.
    ///
    /// - Parameter count: number of updates; negative to undo updates.
    func advance(by count: Int) { step.withLock { $0 += count } }

    /// Hashes of all tensors, in order.
    var hashes: [Hash128] { tensors.map(\.region.hash128) }

    /// Changes every byte of every tensor, and forgets the restored objects.
    func scribble() {
        memory.add(0x5A, width: 1)
        restored.withLock { $0 = [:] }
    }

    /// True if the last restore restored every object with its value at the current step.
    var hasAllObjects: Bool {
        let (bytes, step) = (restored.withLock { $0 }, step.withLock { $0 })
        return objects.allSatisfy { bytes[$0.name] == $0.value(step).text }
    }
}

extension TrainingState {
    /// Creates a state of random values.
    ///
    /// - Parameters:
    ///   - synthetic: the kind of state.
    ///   - scale: size relative to the full size; above 0 and at most 1.
    ///   - rank: the rank that holds the state.
    ///   - worldSize: number of ranks.
    /// - Throws: `CheckpointError` or `OutOfMemory` if the system refuses the memory.
    convenience init(
        _ synthetic: SyntheticState, scale: Double, rank: Int = 0, of worldSize: Int = 1
    ) throws {
        let specifications =
            worldSize == 1
            ? synthetic.tensors(scale: scale)
            : try synthetic.tensors(scale: scale, rank: rank, of: worldSize)
        try self.init(specifications, objects: Self.objects(synthetic))
        let table = try NormalTable(seed: 1)
        for (index, tensor) in tensors.enumerated() {
            let specification = tensor.specification
            table.fill(tensor.region, width: specification.type.width, specification.values, seed: UInt64(index))
        }
    }

    /// Returns the objects that a trainer needs in addition to its tensors to resume bit for bit.
    private static func objects(_ synthetic: SyntheticState) -> [Object] {
        [
            Object(name: "optimizer.step", role: .optimizer) { .count($0) },
            Object(name: "rng", role: .rng) { step in .counts((1...4).map { step &* 0x9E37_79B9 &+ $0 }) },
            Object(name: "data", role: .data) { step in
                .object([.init("epoch", .count(step / 1000)), .init("cursor", .count(step % 1000 * 512))])
            },
            Object(name: "config", role: .config) { _ in
                .object([.init("model", .string(synthetic.rawValue)), .init("learning_rate", .number(6e-4))])
            },
        ]
    }
}
