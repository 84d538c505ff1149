internal import CheckpointFormat

/// The state of a run between saves, as the trainer's thread changes it.
struct RunState {
    /// The checkpoint that this restart was resumed from.
    var parent: Manifest.Parent?
    /// Place of the checkpoints that are saved from now on.
    var place: CheckpointOrigin
    var epochs = MutationEpochs()
    var isClosed = false
    /// Mistakes that have been reported.
    private var reported: Set<Mistake> = []
    /// Groups of the state; nil before it has been described.
    var groups: Set<String>?
    /// True if the run has checkpoints that this restart has not resumed from.
    var isUnresumed: Bool

    /// A mistake of the training loop that is reported the first time.
    enum Mistake: Hashable { case notResumed, stepsDiffer, unknownGroup(String) }

    /// Returns true the first time that a mistake is reported.
    mutating func isNew(_ mistake: Mistake) -> Bool { reported.insert(mistake).inserted }

    /// Returns true the first time that a group is named that no tensor is in.
    mutating func isNewUnknown(_ group: String?) -> Bool {
        guard let group, let groups, !groups.contains(group) else { return false }
        return isNew(.unknownGroup(group))
    }

    init(place: CheckpointOrigin, isUnresumed: Bool) {
        (self.place, self.isUnresumed) = (place, isUnresumed)
    }
}
