public import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
public import CheckpointStorage

/// Result of a copy. Sizes in bytes.
public struct CopyReport: Sendable {
    /// Result for one checkpoint.
    public struct Checkpoint: Sendable {
        /// Outcome for a checkpoint.
        public enum Outcome: String, Sendable {
            /// The checkpoint was copied; in a dry run, it would be.
            case copied
            /// The destination already had the checkpoint.
            case present
            /// The source's owner removed the checkpoint before it could be copied.
            case gone
            /// The checkpoint is damaged, and was not copied.
            case failed
        }

        /// Id of the checkpoint; nil if its manifest could not be read.
        public var id: CheckpointID?
        /// The checkpoint's run.
        public var run: RunID
        /// Name of the run; empty if its manifest could not be read.
        public var runName = ""
        /// The checkpoint's step.
        public var step: Int
        /// Outcome of the copy.
        public var outcome: Outcome
        /// Size of its tensors and objects before encoding.
        public var logicalBytes = 0
        /// Stored bytes of the blocks written for it; in a dry run an upper bound.
        public var newBytes = 0
        /// Number of reads of blocks of the source; in a dry run an upper bound.
        public var readCount = 0
        /// Number of deltas that were encoded without a base, because the base was not copied.
        public var reencodedCount = 0
        /// Reason of a failure; nil unless `outcome` is `failed`.
        public var error: CheckpointError?
    }

    /// Checkpoints in the order in which they were copied: newest first.
    public var checkpoints: [Checkpoint] = []
    /// Tags that were copied.
    public var tags: [TagName] = []
    /// Tags that were not copied, because another checkpoint of the destination has them.
    public var takenTags: [TagName] = []
    /// Errors of tags of the source that cannot be read, and so were not copied.
    public var unreadableTags: [CheckpointError] = []
    /// Number of checkpoints that were pinned in the destination, as they are in the source.
    public var pinCount = 0
    /// Stored bytes of the blocks written for all checkpoints.
    public var newBytes: Int { checkpoints.reduce(0) { $0 + $1.newBytes } }
}
