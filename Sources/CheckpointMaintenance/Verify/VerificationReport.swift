public import CheckpointFormat
internal import CheckpointStorage

/// Result of `CheckpointStore.verify`. Sizes in bytes.
public struct VerificationReport: Sendable {
    /// Findings, in the order in which they were made.
    public internal(set) var findings: [Finding] = []
    /// Number of manifests that were read and are intact.
    public internal(set) var checkpointCount = 0
    /// Number of segments that they name; each was read once.
    public internal(set) var segmentCount = 0
    /// Bytes of blocks that were read, with padding; 0 in a quick verification.
    public internal(set) var checkedBytes = 0
    /// Bytes of all blocks that the manifests name, with padding.
    public internal(set) var blockBytes = 0

    /// Fraction of the blocks' bytes that was read; 1 if all.
    public var checkedFraction: Double { blockBytes == 0 ? 1 : min(Double(checkedBytes) / Double(blockBytes), 1) }

    /// True if no damage was found and every file could be checked. After a quick or sampled
    /// verification this covers only what was read.
    public var isWhole: Bool { !findings.contains { $0.kind == .damage || $0.kind == .unchecked } }

    /// One deviation from the expected state.
    public struct Finding: Sendable {
        /// Meaning of a finding for the user of the store.
        public enum Kind: String, Sendable, CaseIterable {
            /// Bytes differ from those written.
            case damage
            /// A file could not be checked: it is of a newer version, or cannot be read.
            case unchecked
            /// The catalog and a manifest differ. Checkpoints are not affected.
            case catalog
            /// A file that does not belong to the store, or that the store does not use.
            case note
        }

        /// Severity of the finding.
        public var kind: Kind
        /// Path of the file.
        public var path: String
        /// Offset in the file in bytes; nil if the finding is not about one place.
        public var offset: Int?
        /// The fault, and a remedy.
        public var message: String
        /// Checkpoints that name the file, oldest first.
        public var checkpoints: [Label] = []
        /// Names of the tensors lost in those checkpoints.
        public var tensors: [String] = []
        /// Names of the objects lost in those checkpoints.
        public var objects: [String] = []
    }

    /// Identification of a checkpoint in a report.
    public struct Label: Sendable, Hashable {
        /// The checkpoint's id.
        public var id: CheckpointID
        /// The checkpoint's run.
        public var run: RunID
        /// The checkpoint's step.
        public var step: Int
    }
}
