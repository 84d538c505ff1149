internal import CheckpointDevices
internal import CheckpointFormat
internal import CheckpointSharding
internal import CheckpointState
internal import CheckpointStorage

/// The state that a caller has described: lent tensors, and objects that were copied. Used under
/// the lock of its checkpointer.
final class LentState: StateProvider {
    /// Rule for an object of a process, if another number of processes has saved the checkpoint.
    enum RankRule { case refuse, firstRanks }

    /// An object, encoded.
    struct Object {
        var role: ObjectRole
        var encoding: ObjectEncoding
        var bytes: [UInt8]
        /// Nil if the object belongs to all processes.
        var rule: RankRule?
    }

    let ledger = LoanLedger()
    /// What numbers in descriptions refer to.
    private(set) var scope: DescriptionScope
    private let worldSize: Int
    private(set) var description: TensorDescription?
    /// The tensors of the description.
    private var tensors = StateInventory()
    private var objects: [ByteName: Object] = [:]
    /// Names of the objects, in the order in which they were set first.
    private var names: [String] = []

    /// Describes nothing yet.
    ///
    /// - Parameters:
    ///   - rank: number of this one of several processes; nil if it saves alone.
    ///   - worldSize: their number.
    init(rank: Int?, of worldSize: Int?) {
        scope = DescriptionScope(rank: rank)
        self.worldSize = worldSize ?? 1
    }

    /// Adds a GPU, whose copies follow the work in a stream of the caller.
    ///
    /// - Returns: its number in descriptions.
    /// - Throws: codes `misuse`, `device`.
    func addDevice(ordinal: Int, stream: UInt) throws(CheckpointError) -> UInt32 {
        guard scope.devices.count < Self.devicesMax else {
            throw .argument(
                "the checkpointer has \(Self.devicesMax) devices already",
                remedy: "Use the number of a device again")
        }
        let device = try translating("opening GPU \(ordinal)") {
            try CUDADevice(ordinal: ordinal, trainerStream: CUDAStream(handle: stream))
        }
        scope.devices.append(device)
        return UInt32(scope.devices.count)
    }

    private static let devicesMax = 256

    /// Replaces the tensors.
    ///
    /// - Parameter isNew: false if only the addresses are others than before.
    /// - Returns: the number of the description.
    /// - Throws: code `misuse`; the earlier description stays.
    func describe(
        _ description: TensorDescription, isNew: Bool = true
    ) throws(CheckpointError) -> UInt64 {
        let loan = ledger.begin()
        let views = try description.views(loan: loan)
        try translating("describing the tensors") {
            let tensors = try Self.inventory(description, views)
            if isNew { try tensors.checkNames() }
            (self.description, self.tensors) = (description, tensors)
        }
        return loan.number
    }

    /// The object with a name.
    subscript(object name: String) -> Object? {
        get { objects[ByteName(name)] }
        set {
            let key = ByteName(name)
            if objects[key] == nil, newValue != nil { names.append(name) }
            if newValue == nil { names.removeAll { $0.isSameName(as: name) } }
            objects[key] = newValue
        }
    }

    private static func inventory(
        _ description: TensorDescription, _ views: [TensorView]
    ) throws(StateError) -> StateInventory {
        var inventory = StateInventory()
        for (layout, view) in zip(description.layouts, views) {
            if let shard = layout.shard {
                try inventory.add(
                    tensor: layout.name, view, of: shard, role: layout.role, group: layout.group)
            } else {
                inventory.add(tensor: layout.name, view, role: layout.role, group: layout.group)
            }
        }
        return inventory
    }

    /// Adds the tensors to an inventory.
    func addTensors(to inventory: inout StateInventory) { inventory.add(tensorsOf: tensors) }

    func describe(to inventory: inout StateInventory) throws {
        addTensors(to: &inventory)
        for name in names {
            guard let object = self[object: name] else { continue }
            let freeze: () throws -> FrozenObject = { [bytes = object.bytes] in { bytes } }
            let restore: ([UInt8]) throws -> Void = { [weak self] bytes in
                self?.objects[ByteName(name)]?.bytes = bytes
            }
            if let rule = object.rule {
                try inventory.add(
                    objectOfRank: name, role: object.role, encoding: object.encoding,
                    freeze: freeze, restore: restore, rank: scope.rank ?? 0,
                    in: RankMesh(["rank": worldSize]),
                    restoreFirst: rule == .firstRanks ? restore : nil)
            } else {
                inventory.add(
                    object: name, role: object.role, encoding: object.encoding, freeze: freeze,
                    restore: restore)
            }
        }
        inventory.receiveOtherObjects { [weak self] name, role, encoding, bytes in
            self?[object: name] = Object(role: role, encoding: encoding, bytes: bytes)
        }
    }
}

extension ObjectRole {
    private static let inOrder: [ObjectRole] = [
        .other, .rng, .data, .schedule, .optimizer, .config,
    ]

    /// The role with a number of checkpoint.h.
    init(number: UInt32, _ name: String) throws(CheckpointError) {
        guard Self.inOrder.indices.contains(Int(number)) else {
            throw .argument("object \"\(name)\": \(number) is not a role")
        }
        self = Self.inOrder[Int(number)]
    }

    /// The number of the role in checkpoint.h.
    var number: UInt32 { UInt32(Self.inOrder.firstIndex(of: self) ?? 0) }
}

extension ObjectEncoding {
    /// The encoding with a number of checkpoint.h.
    init(number: UInt32, _ name: String) throws(CheckpointError) {
        switch number {
        case 0: self = .bytes
        case 1: self = .json
        default: throw .argument("object \"\(name)\": \(number) is not an encoding")
        }
    }

    /// The number of the encoding in checkpoint.h.
    var number: UInt32 { self == .json ? 1 : 0 }
}
