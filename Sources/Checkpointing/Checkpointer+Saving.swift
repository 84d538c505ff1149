internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointState
public import CheckpointStorage

extension Checkpointer {
    /// Requests a checkpoint of the state as it is now, and returns immediately.
    ///
    /// Step, metrics and object values are taken now; tensors are captured in the background until
    /// the next permit. Failures are reported by the ticket, an event, and the next ticket or
    /// `close`; they are never thrown here.
    ///
    /// - Parameters:
    ///   - step: number of updates made so far; unique in the run.
    ///   - metrics: values to choose checkpoints by, such as the loss.
    /// - Returns: the ticket by which the save can be followed.
    /// - Throws: only code `misuse`: a permit is held, the step is negative, or the checkpointer is
    ///   closed.
    @discardableResult
    public func save(
        step: Int, metrics: [String: Double] = [:]
    ) throws(CheckpointError) -> SaveTicket {
        let called = ContinuousClock.now
        store.meeting?.beginSaving()
        try checkUse(step: step)
        history.called(at: called)
        let span = trainer.begin()
        defer { trainer.end("save", since: span, step: step) }
        let ticket = SaveTicket(
            step: step, id: attemptID(step), earlierFailure: observers.failure.take()
        ) { [weak pipeline] in pipeline?.cancel($0) }
        do throws(CheckpointError) {
            try pipeline.admit(step: step, options.backpressure)
            let admitted = ContinuousClock.now
            waitForProtectedSave()
            let preparing = ContinuousClock.now
            let (task, started) = try prepare(ticket, metrics, called: called)
            let waited = (admitted - called) + (started - preparing)
            state.withLock { $0.hasSaved = true }
            task.timing.withLock { $0.begin(submitted: started, backpressure: waited) }
            adviseOnResuming()
            adviseOnMovedMemory(task)
            observers.notify(.started(task))
            try begin(task)
            task.timing.withLock { $0.end(at: .now) }
            stalls.withLock { $0.add(submit: .now - started, backpressure: waited) }
        } catch {
            tellRanks(of: error, ticket)
            observers.notify(.failed(ticket, error))
        }
        return ticket
    }

    /// In guarded mode, captures what an earlier save still protects: pages can be protected for
    /// one save at a time. The wait is a fence, and counts for that save.
    private func waitForProtectedSave() {
        guard protection?.guarding != nil else { return }
        let began = ContinuousClock.now
        let backpressure = pipeline.passFence(nil, .block) { crew.setUrgent($0) }
        stalls.withLock { $0.add(wait: .now - began, backpressure: backpressure) }
    }

    /// Returns the id of the next attempt to save a step. Ranks derive the same id, so that none
    /// has to wait for another: from their restart, which they have agreed on, the step, and the
    /// number of times that it has been saved.
    private func attemptID(_ step: Int) -> CheckpointID {
        guard let ranks = store.meeting?.ranks else { return .random() }
        let (restart, attempt) = state.withLock { ($0.restart, $0.nextAttempt(at: step)) }
        let text = "ckpt attempt\n\(restart)\n\(step)\n\(ranks.worldSize)\n\(attempt)\n"
        return CheckpointID(rawValue: Hashing.digest(Array(text.utf8)[...]).rawValue)
    }

    /// Tells the other ranks of a save that could not begin. The trainer does not wait for it.
    private func tellRanks(of error: CheckpointError, _ ticket: SaveTicket) {
        guard let commit = preparation.rankCommit(ticket) else { return }
        do { _ = try WorkerThread(name: "ckpt-failed") { commit.fail(error) } } catch {
            observers.warn(
                "the other ranks wait for step \(ticket.step) until their timeout, because they "
                    + "cannot be notified of its failure: \(error)")
        }
    }

    /// Prepares a save. If there is not enough space, also for the saves in flight, waits for them,
    /// after which retention makes room, and tries again.
    ///
    /// - Returns: the save, and the time at which the attempt that succeeded began.
    private func prepare(
        _ ticket: SaveTicket, _ metrics: [String: Double], called: ContinuousClock.Instant
    ) throws(CheckpointError) -> (task: SaveTask, started: ContinuousClock.Instant) {
        // With the other policies no save waits for another, and the disk of several ranks may be
        // anyone's.
        let waits = options.backpressure == .block
        let others = waits && store.meeting == nil ? pipeline.neededBytes : 0
        let started = ContinuousClock.now
        do throws(CheckpointError) {
            let task = try preparation.prepare(ticket, metrics, called: called, besides: others)
            return (task, started)
        } catch {
            guard error.code == .noSpace, others > 0 || options.keepLast != nil else {
                throw error
            }
            if waits {
                crew.setUrgent(true)
                pipeline.waitUntilIdle()
                crew.setUrgent(false)
            }
            completion.removeExpired()
            let started = ContinuousClock.now
            return (try preparation.prepare(ticket, metrics, called: called), started)
        }
    }

    private func checkUse(step: Int) throws(CheckpointError) {
        guard step >= 0 else { throw CheckpointError(.misuse, "step \(step) is negative") }
        let (permits, isClosed) = state.withLock { ($0.epochs.held, $0.isClosed) }
        guard !isClosed else { throw CheckpointError(.misuse, "the checkpointer is closed") }
        guard permits == 0 else {
            throw CheckpointError(
                .misuse, "step \(step) cannot be saved while a mutation permit is held",
                remedy:
                    "End the permit before saving: the state must not change while it is captured"
            )
        }
    }

    /// Prepares a save and drops it: finds mistakes in the state, and makes everything that the
    /// first save would otherwise make.
    func rehearse() throws(CheckpointError) {
        do {
            let ticket = SaveTicket(step: 0, earlierFailure: nil) { _ in }
            _ = try preparation.prepare(ticket, [:], called: .now)
        } catch {
            // A full disk fails the first save, not the start.
            if error.code != .noSpace { throw error }
        }
    }

    private func begin(_ task: SaveTask) throws(CheckpointError) {
        let mechanisms = options.mechanisms
        try translating("preparing the capture") {
            if !mechanisms.preallocates {
                pipeline.waitUntilIdle()
                try pipeline.replaceArena()
            }
            let devices = task.inventory.tensors.devices
            if !devices.isEmpty {
                try crew.startDeviceThreads()
                try pipeline.devices.prepare(
                    devices, copyingTo: pipeline.arena, warn: observers.warn)
            }
        }
        let changed = try translating("protecting the state") { try protection?.begin(task) ?? [] }
        report(changed, "the save of step \(task.ticket.step)")
        let flight = pipeline.begin(
            task, layout: SegmentLayout(segmentBytesMax: options.segmentBytes))
        protection?.begun(flight: flight)
        if !mechanisms.isLazy { _ = pipeline.passFence(nil, .block) { _ in } }
    }

    /// Reports tensors that were changed without a permit, and fails the saves that may have
    /// captured them.
    func report(_ names: [String], _ occasion: String) {
        guard let error = CheckpointError.violation(names, before: occasion) else { return }
        observers.warn("\(error)")
        pipeline.failAll(error)
    }
}
