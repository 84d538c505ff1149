internal import CheckpointFormat
internal import CheckpointSharding
internal import CheckpointState
internal import CheckpointStorage

/// The state that a caller has described: lent tensors, and objects that were copied. Used under
/// the lock of its checkpointer.
final class LentState: StateProvider {
    /// Rule for an object of a process, if another number of processes has saved the checkpoint.
    enum RankRule { case refuse, firstRanks }

    /// An object.
    struct Object {
        var role: ObjectRole
        var encoding: ObjectEncoding
        /// The value, encoded. Nil if an encoder makes the bytes, and no restore has read any.
        var bytes: [UInt8]?
        var encoder: CallerEncoder?
        /// Nil if the object belongs to all processes.
        var rule: RankRule?
    }

    let ledger = LoanLedger()
    /// What numbers in descriptions refer to.
    var scope: DescriptionScope
    private let worldSize: Int
    private(set) var description: TensorDescription?
    /// Says where the tensors are at each save and restore; nil if they stay where they are.
    var lender: CallerLender?
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

    /// Asks the caller where the tensors are now, if it has given a function for that.
    ///
    /// - Throws: code `provider` if the function fails; `misuse` if an address is impossible.
    func lendAgain() throws(CheckpointError) {
        guard let lender, let description else { return }
        let addresses = try lender.addresses(now: description.addresses)
        if addresses != description.addresses {
            _ = try describe(try description.moved(to: addresses), isNew: false)
        }
    }

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
            let freeze: () throws -> FrozenObject = { [bytes = object.bytes ?? []] in
                if let encoder = object.encoder { try encoder.freeze() } else { { bytes } }
            }
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
