public import CheckpointStorage

/// The result of bringing a mirror up to date.
public struct MirrorReport: Sendable {
    /// One checkpoint.
    public struct Row: Sendable {
        /// The fate of a checkpoint.
        public enum Outcome: String, Sendable {
            case mirrored
            /// It was there already.
            case present
            /// It was removed from the store meanwhile.
            case gone
            case failed
        }

        /// The checkpoint's step.
        public var step: Int
        /// What became of it.
        public var outcome: Outcome
        /// Bytes that were sent for it.
        public var newBytes: Int
        /// Why it failed; nil otherwise.
        public var error: CheckpointError?
    }

    /// The checkpoints, newest first.
    public internal(set) var checkpoints: [Row] = []
    /// False if it was ended early, because the store has a newer checkpoint.
    public internal(set) var isComplete = true
    /// Tags and pins that were written or removed.
    public internal(set) var markCount = 0
    /// Number of objects that were sent.
    public internal(set) var objectCount = 0

    /// Bytes that were sent.
    public var newBytes: Int { checkpoints.reduce(0) { $0 + $1.newBytes } }
}
