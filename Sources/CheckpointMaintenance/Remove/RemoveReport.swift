public import CheckpointFormat

/// Result of removing checkpoints by name. Sizes in bytes.
public struct RemoveReport: Sendable {
    /// Outcome for one checkpoint.
    public enum Outcome: String, Sendable {
        /// It was removed; in a dry run, it would be.
        case removed
        /// It stays: a save in flight or a reader uses it.
        case inUse
    }

    /// Result for one checkpoint.
    public struct Checkpoint: Sendable {
        /// The checkpoint's id; nil if its manifest cannot be read.
        public var id: CheckpointID?
        /// Id of the restart that saved it.
        public var run: RunID
        /// Name of its run; empty if its manifest cannot be read.
        public var runName: String
        /// The checkpoint's step.
        public var step: Int
        /// Outcome for the checkpoint.
        public var outcome = Outcome.removed
    }

    /// The checkpoints, in the order of the references.
    public var checkpoints: [Checkpoint] = []
    /// Size of the removed segment files.
    public var freedBytes = 0
    /// Number of those files.
    public var segmentCount = 0
    /// True if a manifest cannot be read. Segments that it may name were kept; `clean` or the next
    /// writer removes unused ones later.
    public var leavesSegments = false
}
