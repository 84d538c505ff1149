internal import CheckpointCodecs
internal import CheckpointFormat

/// A captured block: the part of it that has to be stored, which is at the start of its slot.
///
/// The capturing thread hands it to the encoding one through the pipeline, so that the two need no
/// other lock.
struct CapturedBlock: Equatable {
    /// Bytes to store; 0 if the store has all of them.
    var rawBytes: Int
    /// Hash of these bytes, if it is known; saves hashing a raw block.
    var contentHash: Hash128?
    /// Types of these bytes, if they are only a part of the block; nil means all of it.
    var runs: [ElementRun]?
}
