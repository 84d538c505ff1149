public import CheckpointStorage

/// The checkpoints that hold a tensor, an object or a digest.
public struct FindReport: Sendable {
    /// A tensor or an object in one checkpoint.
    public struct Occurrence: Sendable {
        /// Kind of content.
        public enum Kind: String, Sendable { case tensor, object }

        /// Comparison with the checkpoint before it.
        public enum Change: String, Sendable {
            /// The checkpoint before it lacks the name, or there is none.
            case new
            /// The content, type or shape differs.
            case changed
            /// The content is the same.
            case same
        }

        /// The checkpoint.
        public let checkpoint: CheckpointSummary
        /// Full name.
        public let name: String
        /// Kind of content.
        public let kind: Kind
        /// Size before encoding, in bytes.
        public let bytes: Int
        /// Comparison with the checkpoint before it in its run, or with the one that the run was
        /// resumed from.
        public let change: Change
    }

    /// The occurrences found, newest checkpoint first.
    public internal(set) var occurrences: [Occurrence] = []
    /// Number of checkpoints that could be read.
    public internal(set) var checkpointCount = 0
    /// If nothing was found: the names that resemble the pattern most.
    public internal(set) var nearest: [String] = []
    /// Checkpoints that could not be read.
    public internal(set) var damaged: [CheckpointError] = []
}
