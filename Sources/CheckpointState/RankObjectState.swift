public import CheckpointFormat
public import CheckpointSharding

/// A provider of a `Codable` value that each rank has for itself, such as its random generator or
/// its place in the data.
///
/// The object is named after the rank's coordinates and the extents of the mesh, such as
/// `rng.dp0of2.tp3of4`, so a rank finds it again on the same mesh alone. A rule says what happens
/// on another one. The first rank saves its value under the plain name as well: from that one,
/// values for another mesh are made.
///
///     RankObjectState(
///         "rng", of: rank, in: mesh, role: .rng, onAnotherMesh: .derive { $0.jumped(by: rank) },
///         get: { generator }, set: { generator = $0 })
public struct RankObjectState<Value: Codable & Sendable>: StateProvider {
    /// Rule for what a rank restores from a checkpoint that was saved on another mesh.
    public enum AnotherMesh {
        /// Nothing: the object counts as missing from the checkpoint. Unless the mode is `partial`,
        /// the restore fails with code `mismatch`, and changes nothing on this rank.
        case refuse
        /// The value of the first rank, on every rank.
        case broadcast
        /// A value that each rank makes from that of the first rank. Make different ones where
        /// ranks must differ.
        case derive((_ first: Value) throws -> Value)
    }

    private let name: String
    private let rank: Int
    private let mesh: RankMesh
    private let role: ObjectRole
    private let anotherMesh: AnotherMesh
    private let get: () -> Value
    private let set: (Value) -> Void

    /// Describes a value of a rank.
    ///
    /// - Parameters:
    ///   - name: name of the object, the same on all ranks; the names of enclosing states are put
    ///     before it.
    ///   - rank: this rank.
    ///   - mesh: all ranks.
    ///   - role: the object's purpose in the training loop.
    ///   - anotherMesh: what is restored if the checkpoint was saved on another mesh; a restore
    ///     lists it in `RestoreReport.fromFirstRank`.
    ///   - get: returns the current value; called during `save`, on the trainer's thread.
    ///   - set: installs a restored value; called by the thread that restores.
    public init(
        _ name: String, of rank: Int, in mesh: RankMesh, role: ObjectRole = .other,
        onAnotherMesh anotherMesh: AnotherMesh = .refuse, get: @escaping () -> Value,
        set: @escaping (Value) -> Void
    ) {
        self.name = name
        self.rank = rank
        self.mesh = mesh
        self.role = role
        self.anotherMesh = anotherMesh
        self.get = get
        self.set = set
    }

    public func describe(to inventory: inout StateInventory) throws {
        let freeze: () throws -> FrozenObject = { [get] in
            let value = get()
            return { try ObjectCoding.encode(value) }
        }
        try inventory.add(
            objectOfRank: name, role: role, encoding: .json, freeze: freeze,
            restore: { [set] in set(try ObjectCoding.decode($0)) }, rank: rank, in: mesh,
            restoreFirst: restoreFirst)
    }

    private var restoreFirst: (([UInt8]) throws -> Void)? {
        switch anotherMesh {
        case .refuse: nil
        case .broadcast: { [set] in set(try ObjectCoding.decode($0)) }
        case .derive(let derive): { [set] in set(try derive(ObjectCoding.decode($0))) }
        }
    }
}
