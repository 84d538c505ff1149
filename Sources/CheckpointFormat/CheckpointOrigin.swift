/// Place of a checkpoint in its run, and its cause (Formats/manifest.md, JSON).
public struct CheckpointOrigin: Sendable, Hashable {
    /// Cause of a checkpoint's existence.
    public enum Kind: String, Sendable, Hashable {
        /// A training loop saved it.
        case training
        /// It was made from files of another program.
        case imported
        /// Repair made it from what was intact in a damaged checkpoint.
        case salvaged
    }

    /// Cause of the checkpoint's existence.
    public var kind: Kind
    /// The store in which the checkpoint was first committed. In another store it is a copy.
    public var store: StoreID
    /// Id of the run: the id of its first restart.
    public var run: RunID
    /// Id of the branch: the id of the restart that began it. The first branch has the id of the
    /// run.
    public var branch: RunID
    /// Number of the restart in its run; 0 is the first life of the process.
    public var restart: Int

    /// Creates an origin.
    ///
    /// - Parameters:
    ///   - kind: the cause of the checkpoint.
    ///   - store: the store in which it was first committed.
    ///   - run: id of the run.
    ///   - branch: id of the branch.
    ///   - restart: number of the restart, at least 0.
    public init(kind: Kind, store: StoreID, run: RunID, branch: RunID, restart: Int) {
        (self.kind, self.store, self.run, self.branch, self.restart) = (
            kind, store, run, branch, restart
        )
    }
}

extension CheckpointOrigin {
    /// Returns the origin of a checkpoint from before origins were written: each restart is a run
    /// of its own.
    ///
    /// - Parameters:
    ///   - restart: the id in the checkpoint's name. Those of salvaged checkpoints have no time.
    ///   - store: the store that the manifest names.
    package static func assumed(_ restart: RunID, store: StoreID) -> CheckpointOrigin {
        CheckpointOrigin(
            kind: restart.milliseconds == 0 ? .salvaged : .training, store: store, run: restart,
            branch: restart,
            restart: 0)
    }

    var json: JSONValue {
        .object([
            .init("kind", .string(kind.rawValue)), .init("store", .hex(store)),
            .init("run", .hex(run)),
            .init("branch", .hex(branch)), .init("restart", .count(restart)),
        ])
    }

    init(_ value: JSONValue, offset: Int) throws(FormatError) {
        let fields = try JSONFields(value, "origin", offset: offset)
        // A checkpoint of an unknown kind is resumed from only if requested explicitly.
        let kind = Kind(rawValue: try fields.string("kind")) ?? .imported
        self.init(
            kind: kind, store: try fields.identifier("store"), run: try fields.identifier("run"),
            branch: try fields.identifier("branch"), restart: try fields.count("restart"))
    }
}
