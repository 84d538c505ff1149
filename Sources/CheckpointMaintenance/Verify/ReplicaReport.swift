public import CheckpointStorage

/// The result of comparing the copies that the ranks of one save hold of the same elements.
public struct ReplicaReport: Sendable {
    /// The step.
    public let step: Int
    /// Id of the save.
    public let id: CheckpointID
    /// Id of the restart that saved it.
    public let run: RunID
    /// Whether the checkpoint was committed. The commit refuses what differs, so only a save that
    /// was not committed can have differences.
    public let isCommitted: Bool
    /// Number of ranks.
    public let worldSize: Int
    /// Ranks that have not saved their part, ascending. Without them nothing was compared.
    public let missingRanks: [Int]
    /// Size of what was compared.
    public let comparedBytes: Int
    /// The differences, in the order of tensors and ranks.
    public let differences: [ReplicaDifference]
    /// The reason that the parts cannot be one checkpoint, or cannot be read; nil if there is none.
    public let problem: CheckpointError?

    /// True if all copies were compared, and are the same.
    public var isWhole: Bool { missingRanks.isEmpty && differences.isEmpty && problem == nil }
}
