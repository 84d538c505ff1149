internal import CCheckpoint
internal import CheckpointStorage
internal import Checkpointing

/// The strictness of a restore, which checkpoint.h has in one number.
struct RestoreStrictness {
    let mode: RestoreMode
    let types: RestoreTypes

    /// - Throws: code `misuse` if checkpoint.h does not define the number.
    init(number: UInt32) throws(CheckpointError) {
        types = Int(number) & CKPT_CONVERT_FLOATS == 0 ? .exact : .convertFloats
        switch Int(number) & ~CKPT_CONVERT_FLOATS {
        case CKPT_STRICT: mode = .strict
        case CKPT_PARTIAL: mode = .partial
        default: throw .argument("\(number) is not a restore mode")
        }
    }
}
