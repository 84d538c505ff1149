internal import CheckpointStorage
public import CheckpointFormat

/// What `CheckpointStore.verify` found, and how much it looked at.
public struct VerificationReport: Sendable {
    /// What is not as it should be, in the order in which it was found.
    public internal(set) var findings: [Finding] = []
    /// Manifests read and found whole.
    public internal(set) var checkpointCount = 0
    /// Segments that those name, each read once.
    public internal(set) var segmentCount = 0
    /// Bytes of blocks read, with their padding; 0 in a quick verification.
    public internal(set) var checkedBytes = 0
    /// Bytes of all blocks that the manifests name, with their padding.
    public internal(set) var blockBytes = 0

    /// How much of the blocks was read: 1 if all of them.
    public var checkedFraction: Double { blockBytes == 0 ? 1 : min(Double(checkedBytes) / Double(blockBytes), 1) }

    /// Whether every checkpoint that was looked at can be restored bit for bit, as far as was looked.
    public var isWhole: Bool { !findings.contains { $0.kind == .damage || $0.kind == .unchecked } }

    /// One thing that is not as it should be.
    public struct Finding: Sendable {
        /// What a finding means to the user of the store.
        public enum Kind: String, Sendable, CaseIterable {
            /// Bytes are not what was written.
            case damage
            /// A file could not be judged: it is of a version that this software does not know, or cannot be read.
            case unchecked
            /// The catalog and a manifest differ. No checkpoint is touched by it.
            case catalog
            /// Something that does not belong to the store, or is not used by it.
            case note
        }

        /// How bad it is.
        public var kind: Kind
        /// The file.
        public var path: String
        /// Where in the file, in bytes, if it is one place.
        public var offset: Int?
        /// What is wrong, and what to do.
        public var message: String
        /// The checkpoints that name the file, oldest first.
        public var checkpoints: [Label] = []
        /// Names of the tensors that are lost in those checkpoints.
        public var tensors: [String] = []
        /// Names of the objects that are lost in those checkpoints.
        public var objects: [String] = []
    }

    /// How a checkpoint is named in a report.
    public struct Label: Sendable, Hashable {
        /// The checkpoint's id.
        public var id: CheckpointID
        /// The run that it belongs to.
        public var run: RunID
        /// The step that it was taken at.
        public var step: Int
    }
}
