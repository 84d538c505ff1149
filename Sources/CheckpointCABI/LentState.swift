internal import CheckpointFormat
internal import CheckpointState
internal import CheckpointStorage

/// The state that a caller has described: lent tensors, and objects that were copied. Used under
/// the lock of its checkpointer.
final class LentState: StateProvider {
    /// An object, encoded.
    struct Object {
        var role: ObjectRole
        var encoding: ObjectEncoding
        var bytes: [UInt8]
    }

    let ledger = LoanLedger()
    private(set) var description: TensorDescription?
    private var views: [TensorView] = []
    private var objects: [String: Object] = [:]
    /// Names of the objects, in the order in which they were set first.
    private var names: [String] = []

    /// Replaces the tensors.
    ///
    /// - Returns: the number of the description.
    /// - Throws: code `misuse`; the earlier description stays.
    func describe(_ description: TensorDescription) throws(CheckpointError) -> UInt64 {
        let loan = ledger.begin()
        let views = try description.views(loan: loan)
        (self.description, self.views) = (description, views)
        return loan.number
    }

    /// Checks that names are unique and have a valid length.
    ///
    /// - Throws: code `misuse`.
    static func checkNames(_ description: TensorDescription) throws(CheckpointError) {
        var seen = Set<[UInt8]>(minimumCapacity: description.layouts.count)
        for layout in description.layouts {
            guard (1...Limits.nameBytesMax).contains(layout.name.utf8.count) else {
                throw .argument(
                    "the name of a tensor has \(layout.name.utf8.count) bytes, "
                        + "not 1 to \(Limits.nameBytesMax)")
            }
            guard seen.insert(Array(layout.name.utf8)).inserted else {
                throw .argument("two tensors have the name \"\(layout.name)\"")
            }
        }
    }

    /// The object with a name.
    subscript(object name: String) -> Object? {
        get { objects[name] }
        set {
            if objects[name] == nil, newValue != nil { names.append(name) }
            if newValue == nil { names.removeAll { $0 == name } }
            objects[name] = newValue
        }
    }

    /// Adds the tensors to an inventory.
    func addTensors(to inventory: inout StateInventory) {
        for (layout, view) in zip(description?.layouts ?? [], views) {
            inventory.add(tensor: layout.name, view, role: layout.role, group: layout.group)
        }
    }

    func describe(to inventory: inout StateInventory) {
        addTensors(to: &inventory)
        for name in names {
            guard let object = objects[name] else { continue }
            inventory.add(
                object: name, role: object.role, encoding: object.encoding,
                freeze: { [bytes = object.bytes] in { bytes } },
                restore: { [weak self] in self?.objects[name]?.bytes = $0 })
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
