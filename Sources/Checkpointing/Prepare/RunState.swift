internal import CheckpointFormat

/// The state of a run between saves, as the trainer's thread changes it.
struct RunState {
    /// The checkpoint that this restart was resumed from.
    var parent: Manifest.Parent?
    /// Place of the checkpoints that are saved from now on.
    var place: CheckpointOrigin
    var epochs = MutationEpochs()
    var isClosed = false
    /// Things that are reported once.
    var reported: Set<Report> = []

    /// A mistake that is reported the first time.
    enum Report: Hashable { case notResumed, wrongStep, unknownGroup(String) }

    init(place: CheckpointOrigin) { self.place = place }
}
