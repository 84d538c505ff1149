internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointStorage

/// A restart as it is shown to a person.
package struct RestartLabel: Sendable, Equatable {
    /// Name of the run.
    package var runName: String
    /// Number of the restart in the run; 0 is the first life of the process.
    package var number: Int
    /// Step of the checkpoint that it was resumed from; nil if it began without one.
    package var parentStep: Int?
}
