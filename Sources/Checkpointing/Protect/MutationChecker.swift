internal import CheckpointGuard
internal import CheckpointIO
internal import CheckpointState
internal import CheckpointStorage

/// Checked mode: between permits the state's pages are watched, and tensors that change without a
/// permit are reported: when the next permit is requested, at the next save, and before a save
/// commits.
///
/// On the trainer's thread, and before a commit on a worker's. Its lock is held while pages are
/// watched and compared, with ioctls and copies: a permit given or ended meanwhile would make the
/// trainer's update a violation. The trainer may wait for a worker's comparison: checked mode is
/// for finding mistakes.
final class MutationChecker: StateProtection {
    private struct State {
        var layout: GuardLayout?
        var tensors: [TensorItem] = []
        /// Number of permits held for the full state; those for groups are counted by the group's
        /// number in the plan.
        var wholePermits = 0
        var groupPermits: [GroupIndex: Int] = [:]

        func isPermitted(chunk: Int) -> Bool {
            guard wholePermits == 0, let plan = layout?.plan else { return true }
            return groupPermits[group(of: chunk, plan), default: 0] > 0
        }

        private func group(of chunk: Int, _ plan: CapturePlan) -> GroupIndex { plan.groupOfTensor[plan.chunks[chunk].tensor] }

        /// Returns true if a permit for `group` allows changes to a chunk.
        func isCovered(chunk: Int, by group: GroupIndex?) -> Bool {
            guard let plan = layout?.plan, let group else { return true }
            return self.group(of: chunk, plan) == group
        }
    }

    private let state = Monitor(State(), rank: .checker)
    private let tracker: WriteTracker

    /// Starts the tracker.
    ///
    /// - Throws: `GuardError`, if the kernel does not allow it.
    init() throws { tracker = try WriteTracker() }

    /// Begins a save: looks for changes, and watches all of the state from now on.
    ///
    /// - Returns: names of tensors changed without a permit.
    func begin(_ task: SaveTask) throws -> [String] {
        try state.withLock { state in
            let changed = try findChangedByTrainer(&state)
            if state.layout?.fits(task.plan, task.inventory.tensors) != true {
                if let layout = state.layout { tracker.unregister(layout.map.pages) }
                state.layout = nil
                let layout = try GuardLayout(task.plan, task.inventory.tensors, sharesPages: false)
                try tracker.register(layout.map.pages)
                state.layout = layout
            }
            state.tensors = task.inventory.tensors
            try state.tensors.orderCopiesAfterTrainer()
            try watch(state) { _ in true }
            return changed
        }
    }

    /// Looks for changes before a permit is given.
    ///
    /// - Parameter name: the group; nil means the full state.
    /// - Returns: names of tensors changed without a permit.
    func permit(_ name: String?) throws -> [String] {
        try state.withLock { state in
            // The permit is given whatever the result, and its end is counted, so its beginning
            // must be too.
            defer {
                if let group = Self.group(name, state) { state.groupPermits[group, default: 0] += 1 } else { state.wholePermits += 1 }
            }
            return try findChangedByTrainer(&state)
        }
    }

    /// Ends a permit: the group is watched again.
    func permitEnded(_ name: String?) throws {
        try state.withLock { state in
            let group = Self.group(name, state)
            if let group { state.groupPermits[group, default: 1] -= 1 } else { state.wholePermits = max(state.wholePermits - 1, 0) }
            try state.tensors.orderCopiesAfterTrainer()
            try watch(state) {
                state.isCovered(chunk: $0, by: group) && !state.isPermitted(chunk: $0)
            }
        }
    }

    /// Returns the names of tensors changed without a permit since they were last watched. On a
    /// worker's thread, which cannot order copies after the trainer's work on a device: what is
    /// still running there is found by the next call on the trainer's.
    func changed() throws -> [String] { try state.withLock { state in try findChanged(&state) } }

    /// Returns the number of a group in the plan. Nil means the full state: the group has no
    /// tensors.
    private static func group(_ name: String?, _ state: State) -> GroupIndex? { name.flatMap { state.layout?.plan.groupIndex[$0] } }

    private func watch(_ state: State, where isWanted: (Int) -> Bool) throws {
        guard let layout = state.layout else { return }
        try tracker.arm(layout.map.pages(ofChunksWhere: isWanted))
        try layout.freeze(state.tensors, where: isWanted)
    }

    /// Looks for changes by all that the trainer has requested so far, on devices too.
    private func findChangedByTrainer(_ state: inout State) throws -> [String] {
        try state.tensors.orderCopiesAfterTrainer()
        return try findChanged(&state)
    }

    /// Looks for changed pages. A page with bytes that may be changed is skipped: the tracker does
    /// not report which of its bytes changed.
    private func findChanged(_ state: inout State) throws -> [String] {
        guard let layout = state.layout, state.wholePermits == 0 else { return [] }
        let current = state
        let written = try tracker.written(in: layout.map.pages { !current.isPermitted(chunk: $0) })
        let candidates = written.filter { page in !layout.map.chunks(on: [page]).contains { current.isPermitted(chunk: $0) } }
        let frozen = try layout.changedSinceFrozen(state.tensors) { !current.isPermitted(chunk: $0) }
        let chunks = Set(layout.map.chunks(on: candidates) + frozen)
        guard !chunks.isEmpty else { return [] }
        // Watched again, so that each change is reported once; one that is still running on a
        // device may be reported again.
        try watch(state) { !current.isPermitted(chunk: $0) }
        return Set(chunks.map { layout.plan.chunks[$0].tensor }).sorted().map { current.tensors[$0].name }
    }
}
