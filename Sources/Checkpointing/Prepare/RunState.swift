internal import CheckpointFormat
internal import CheckpointState

/// The state of a run that only the trainer's thread changes, between saves.
struct RunState {
    /// Id of the restart that saves belong to, part of their names.
    private(set) var restart: RunID
    /// True once a save of this restart has begun.
    var hasSaved = false
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
    enum Mistake: Hashable {
        case notResumed
        case unknownGroup(String)
        case moved(tensor: String)
    }

    /// Addresses of the tensors' memory at the last save, in checked mode.
    private var addresses: [String: Range<UInt>] = [:]
    /// Number of times that this restart has asked for a save of each step. Of several ranks only.
    private var attempts: [Int: Int] = [:]
    /// Number of steps to remember: a step is saved again soon, if at all.
    private static let attemptsMax = 1024

    /// Returns the number of times that a step was to be saved, and counts one more.
    mutating func nextAttempt(at step: Int) -> Int {
        // The same on all ranks, even if one of them then fails to begin.
        hasSaved = true
        if attempts.count >= Self.attemptsMax { attempts = [:] }
        defer { attempts[step, default: 0] += 1 }
        return attempts[step] ?? 0
    }

    /// Returns true the first time that a mistake is reported.
    mutating func isNew(_ mistake: Mistake) -> Bool { reported.insert(mistake).inserted }

    /// Returns the tensors whose memory is elsewhere than at the last save, each name once.
    mutating func newlyMoved(_ tensors: [TensorItem]) -> [String] {
        let last = addresses
        addresses = Dictionary(
            tensors.compactMap { item in item.view.addresses.map { (item.name, $0) } },
            uniquingKeysWith: { first, _ in first })
        return tensors.map(\.name).filter { name in
            guard let before = last[name], let now = addresses[name] else { return false }
            return before.lowerBound != now.lowerBound && isNew(.moved(tensor: name))
        }
    }

    /// Returns true the first time that a group is named that no tensor is in.
    mutating func isNewUnknown(_ group: String?) -> Bool {
        guard let group, let groups, !groups.contains(group) else { return false }
        return isNew(.unknownGroup(group))
    }

    /// Notes the groups of a save. Another save may have others, if the state is described again.
    mutating func note(groups names: [String]) {
        // A state without tensors is not described yet.
        guard !names.isEmpty else { return }
        if let groups, groups.count == names.count, names.allSatisfy(groups.contains) { return }
        groups = Set(names)
    }

    init(place: CheckpointOrigin, isUnresumed: Bool) {
        (restart, self.place, self.isUnresumed) = (place.branch, place, isUnresumed)
    }

    /// Continues from a restored checkpoint.
    ///
    /// A restart that has saved ends here, and the next one begins: steps may be saved again.
    ///
    /// - Parameters:
    ///   - parent: the checkpoint.
    ///   - branch: the branch that continues; nil if a new one begins.
    ///   - next: id of the next restart.
    ///   - newest: the newest restart that has a checkpoint. The saves that follow are newer.
    mutating func continues(
        from parent: Manifest.Parent, branch: RunID?, next: RunID, newest: RunID
    ) {
        if hasSaved {
            attempts = [:]
            place.restart = place.restart == .max ? .max : place.restart + 1
        }
        if hasSaved || newest >= restart { restart = next }
        hasSaved = false
        self.parent = parent
        place.branch = branch ?? restart
        isUnresumed = false
    }
}
