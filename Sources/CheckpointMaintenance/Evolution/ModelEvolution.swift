public import CheckpointFormat
public import CheckpointStorage

/// The change of the parameters of a model from checkpoint to checkpoint.
public struct ModelEvolution: Sendable {
    /// A checkpoint whose parameters were read.
    public struct Checkpoint: Sendable, Equatable {
        /// The checkpoint's id.
        public var id: CheckpointID
        /// Id of the restart that saved it.
        public var run: RunID
        /// Its step.
        public var step: Int
    }

    /// The parameters of one layer: tensors whose names begin with the same components.
    public struct Layer: Sendable, Equatable {
        /// What the names have in common; `others` for the layers beyond the most that are told
        /// apart.
        public var name: String
        /// Names of its tensors.
        public var tensors: [String]
        /// L2 norm at each checkpoint; nil where a tensor is missing.
        public var norms: [Double?] = []
        /// L2 norm of the change since the previous checkpoint; nil at the first, and where a
        /// tensor is missing or has another type or shape.
        public var updates: [Double?] = []

        /// The change divided by the norm in the previous checkpoint.
        public var relativeUpdates: [Double?] {
            norms.indices.map { index in
                guard index > 0, let update = updates[index], let norm = norms[index - 1], norm > 0
                else { return nil }
                return update / norm
            }
        }
    }

    /// The elements of a tensor by value, at some of the checkpoints.
    public struct Histogram: Sendable {
        /// Name of the tensor.
        public var tensor: String
        /// From the lowest finite element to the highest, of all checkpoints.
        public var range: ClosedRange<Double>
        /// Position of a checkpoint in `checkpoints`, and its number of elements in each of equal
        /// parts of the range.
        public var series: [(checkpoint: Int, counts: [Int])]
    }

    /// The checkpoints that were read, the oldest first.
    public internal(set) var checkpoints: [Checkpoint] = []
    /// At most 40 layers; as in the oldest checkpoint.
    public internal(set) var layers: [Layer] = []
    /// Of some tensors, at the first, the middle and the last checkpoint.
    public internal(set) var histograms: [Histogram] = []
    /// Number of tensor bytes that were read.
    public internal(set) var readBytes = 0
    /// Why checkpoints were left out.
    public internal(set) var damaged: [CheckpointError] = []
}
