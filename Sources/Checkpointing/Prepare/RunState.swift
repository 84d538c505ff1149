internal import CheckpointFormat

/// The state of a run between saves, as the trainer's thread changes it.
struct RunState {
    /// The checkpoint that the run was resumed from.
    var parent: Manifest.Parent?
    var epochs = MutationEpochs()
    var isClosed = false
}
