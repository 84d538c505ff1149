internal import CheckpointFormat
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
            /// The mirror would remove it at once, by its own rules.
            case unwanted
            /// It was removed from the store meanwhile.
            case gone
            case failed
        }

        /// The checkpoint's step.
        public var step: Int
        /// Its fate.
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
    /// How the mirror shows that it has received what is sent; nil in a directory, or if nothing
    /// had to be looked at.
    public internal(set) var transferCheck: TransferCheck?
    /// Number of objects that were sent.
    public internal(set) var objectCount = 0

    /// The newest checkpoint that the mirror had before, and the store has not; nil if there was
    /// none, or nobody looked.
    var newestOnlyThere: ManifestName?

    /// Returns the step of `newestOnlyThere` if that is newer than a checkpoint; nil otherwise, and
    /// if there is nothing to compare with.
    func newestStep(after name: ManifestName?) -> Int? {
        guard let name, let newestOnlyThere, newestOnlyThere > name else { return nil }
        return newestOnlyThere.step
    }

    /// Bytes that were sent.
    public var newBytes: Int { checkpoints.reduce(0) { $0 + $1.newBytes } }
}
