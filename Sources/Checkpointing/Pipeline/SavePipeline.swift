internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointState
internal import CheckpointStorage

/// Memory and threads of saving: executes the decisions of `PipelineStateMachine`.
///
/// Any thread, as each function says. No I/O, copy or hash runs while its lock is held. Of
/// system calls, `fail` releases guarded pages under it, and `replaceArena` frees memory.
final class SavePipeline: Sendable {
    let configuration: Configuration
    let state: Monitor<State>
    private let completion: SaveCompletion
    /// Devices prepared for copies to the arena.
    let devices = DeviceCopies()

    /// Allocates the arena.
    ///
    /// - Parameters:
    ///   - configuration: sizes and thread counts.
    ///   - completion: commits what is written, and reports the progress of every save.
    /// - Throws: `OutOfMemory` if the system refuses the arena.
    init(
        _ configuration: Configuration, _ completion: SaveCompletion
    ) throws(OutOfMemory) {
        var configuration = configuration
        let arena = try Self.arena(&configuration)
        self.configuration = configuration
        self.completion = completion
        let machine = PipelineStateMachine(
            slotCount: configuration.slotCount, touchedCount: configuration.touchedCount,
            spareCount: configuration.spareCount, streams: configuration.streams)
        state = Monitor(
            State(machine: machine, arena: arena), rank: .pipeline, channels: 1 + PipelineStateMachine.Role.allCases.count
        ) { state in
            var channels: Monitor<State>.Channels = 0
            for role in PipelineStateMachine.Role.allCases where state.machine.hasWork(for: role) { channels |= 1 << role.channel }
            return channels
        }
    }

    /// Allocates the arena; with fewer slots if the system allows only those that are in memory
    /// from the start.
    static func arena(_ configuration: inout Configuration) throws(OutOfMemory) -> StagingArena {
        do throws(OutOfMemory) { return try configuration.arena } catch {
            guard configuration.touchedCount < configuration.slotCount else { throw error }
            configuration.slotCount = configuration.touchedCount
            return try configuration.arena
        }
    }

    var isIdle: Bool { state.withLock { $0.isIdle } }
    var arena: StagingArena { state.withLock { $0.arena } }
    var arenaHighWaterBytes: Int { state.withLock { $0.machine.slots.highWaterMark } * configuration.chunkBytes }

    /// Estimate of the free space that the saves in flight still need, in bytes.
    var neededBytes: Int {
        state.withLock { $0.saves.reduce(0) { $0 + $1.task.neededBytes(after: $1.progress) } }
    }

    /// Waits until no save is in flight and no old checkpoint is being removed. Trainer's thread,
    /// without the lock.
    func waitUntilIdle() { state.waitFor { $0.isIdle ? () : nil } }

    /// Waits until no save is in flight, but at most for `timeout`. The thread that ends the
    /// process, without the lock.
    ///
    /// - Returns: the steps of the saves that are still in flight then; empty if there are none.
    func stepsInFlight(after timeout: Duration) -> [Int] {
        if state.waitFor(timeout: timeout, { $0.machine.isIdle ? () : nil }) != nil { return [] }
        return state.withLock { $0.saves.map(\.task.ticket.step) }
    }

    /// Allocates a new arena for the next save; no save may be in flight. Trainer's thread.
    func replaceArena() throws(OutOfMemory) {
        // The old arena is freed first, so that both do not exist at the same time.
        let nothing = try StagingArena(slotBytes: Limits.pageBytes, slotCount: 1)
        state.withLock { $0.arena = nothing }
        let arena = try configuration.arena
        state.withLock { state in
            precondition(state.machine.isIdle)
            state.arena = arena
        }
    }

    // MARK: Saves

    /// Begins a save, which goes on in `work` on the pipeline's threads, and ends in `commit`.
    /// Trainer's thread, without the lock.
    ///
    /// - Returns: its number.
    @discardableResult
    func begin(_ task: SaveTask, layout: SegmentLayout) -> FlightID {
        let plan = task.plan
        let snapshot = SnapshotStateMachine(blocks: plan.blocks.map { ($0.unit, $0.lane) }, unitCount: plan.unitCount)
        let flight = Flight.Plan(
            snapshot: snapshot, unitIndex: plan.unitIndex, layout: layout, isPlacedEarly: !task.encoder.needsSpare,
            hasObjects: !task.frozenObjects.isEmpty)
        let progress = SaveProgress(task)
        return state.withLock { state in
            let id = state.machine.begin(flight)
            state.saves.append(State.Save(flight: id, task: task, progress: progress))
            state.forecast.saveBegan(at: .now)
            return id
        }
    }

    /// Waits until another save may begin, or drops unstarted saves to make room. Trainer's thread,
    /// without the lock.
    ///
    /// - Parameters:
    ///   - step: step of the new save.
    ///   - policy: the backpressure policy.
    /// - Throws: code `skipped`, if the policy does not admit the save.
    func admit(step: Int, _ policy: CheckpointerOptions.Backpressure) throws(CheckpointError) {
        let began = configuration.trainer.begin()
        var hasWaited = false
        defer { if hasWaited { configuration.trainer.end("backpressure", since: began, step: step) } }
        let isAdmitted = state.waitFor { state -> Bool? in
            switch state.machine.admission(policy) {
            case .wait:
                hasWaited = true
                return nil
            case .refuse: return false
            case .begin(let instead):
                for flight in instead { self.giveUp(&state, flight, for: "step \(step)") }
                return true
            }
        }
        guard isAdmitted else {
            throw CheckpointError(.skipped, "step \(step) was not saved: an earlier save is still being written")
        }
    }

    /// Fails a save that has not begun. Trainer's thread. The caller holds the lock, as wherever
    /// `State` is passed.
    func giveUp(_ state: inout State, _ flight: FlightID, for successor: String) {
        let step = state[flight].task.ticket.step
        fail(&state, flight, CheckpointError(.skipped, "step \(step) was not saved: the disk was busy, and \(successor) replaced it"))
    }

    /// Ends the pipeline's threads when the saves in flight have ended. Any thread that drops or
    /// closes the checkpointer, without the lock.
    func close() { state.withLock { $0.machine.close() } }

    /// Fails the save of `ticket` if it is still in flight. Any thread, without the lock.
    func cancel(_ ticket: SaveTicket) {
        state.withLock { state in
            guard let save = state.saves.first(where: { $0.task.ticket === ticket }) else { return }
            fail(&state, save.flight, CheckpointError(.cancelled, "the save of step \(ticket.step) was cancelled"))
        }
    }

    /// Fails every save in flight that is not being committed already. The thread of the trainer or
    /// of a permit, or the worker that commits; without the lock.
    func failAll(_ error: CheckpointError) {
        state.withLock { state in for save in state.saves { fail(&state, save.flight, error) } }
    }

    /// Fails a save. Any thread that fails, cancels or replaces it; the caller holds the lock.
    ///
    /// Guarded pages are released under the lock too, by ioctls that take about 15 ms per GiB: so
    /// a thread that finds the save failed, released or ended finds its memory writable.
    private func fail(
        _ state: inout State, _ flight: FlightID, _ error: CheckpointError, holding job: PipelineStateMachine.Job? = nil
    ) {
        let index = state.index(of: flight)
        if state.saves[index].failure == nil { state.saves[index].failure = error }
        state.machine.failed(flight, holding: job)
        let task = state.saves[index].task
        task.guarding?.stopProtecting(task.ticket.id)
    }

    // MARK: Actions

    /// Body of a pipeline thread; returns when the pipeline is closed. Takes the lock to choose an
    /// action, and carries it out without.
    ///
    /// - Parameters:
    ///   - role: kind of the thread.
    ///   - worker: number of the worker; nil for the other kinds.
    ///   - track: where the thread's actions are traced.
    func work(
        as role: PipelineStateMachine.Role, worker: Int? = nil, track: TraceTrack = .none
    ) {
        var spare = worker.flatMap(configuration.spare)
        var limiter = configuration.bytesPerSecond.map(RateLimiter.init)
        while true {
            let (action, task, arena, isLeftRaw) = state.waitFor(on: role.channel) { state in
                state.machine.isLate = state.isLate(at: .now)
                return state.machine.nextAction(for: role).map { action in
                    let save = action.flight.map { state[$0] }
                    let isLeftRaw = save?.isLeftRaw(action) ?? false
                    return (action, save?.task, state.arena, isLeftRaw)
                }
            }
            if case .touch(let slot) = action {
                touch(slot, arena)
                continue
            }
            guard let task else { return }
            if case .write(let write) = action {
                let bytes = task.plan[block: write.job.block].bytes
                let delay = limiter?.delay(before: bytes, now: .now)
                pause(delay ?? .zero, write.job.flight)
            }
            let began = track.begin()
            defer { track.end(action, task, since: began) }
            switch action {
            case .capture(let job): capture(job, task, arena, track, isFenced: false)
            case .encode(let encode): self.encode(encode, task, arena, &spare, isLeftRaw)
            case .write(let write): self.write(write, task, arena)
            case .reportCapture(let flight): reportCapture(task, flight)
            case .encodeObjects(let flight): encodeObjects(task, flight)
            case .commit(let flight): commit(task, flight)
            case .abandon(let flight): abandon(task, flight)
            case .touch, .stop: return
            }
        }
    }

    /// Gives memory to a slot. A worker, or a thread that waits for a slot; without the lock.
    func touch(_ slot: SlotIndex, _ arena: StagingArena) {
        arena.touch(slot)
        state.withLock { $0.machine.finishedTouching(slot) }
    }

    /// Copies and hashes a block. A worker or a device's thread, the trainer's at a fence, or the
    /// guard's before a delayed write; without the lock.
    func capture(
        _ job: PipelineStateMachine.Job, _ task: SaveTask, _ arena: StagingArena,
        _ track: TraceTrack, isFenced: Bool
    ) {
        let (traced, began) = (track.begin(), ContinuousClock.now)
        let bytes = task.plan[block: job.block].bytes
        var captured = CapturedBlock(rawBytes: bytes)
        let failure = Self.failure("capture") {
            captured = try task.capture(job.block, to: arena.region(ofSlot: job.slot))
        }
        // Before anybody learns of it: the span must not reach into the update that waits for it.
        track.end("capture", job, task, since: traced)
        let time = ContinuousClock.now - began
        let written = state.withLock { state in
            if let failure { fail(&state, job.flight, failure) }
            state.forecast.captured(in: time)
            state[job.flight].progress.captured(captured, of: bytes, isFenced: isFenced)
            if state.machine.finishedCapture(job, captured) {
                state[job.flight].progress.timeToCaptured = task.age
            }
            return state[job.flight].progress.bytes.written
        }
        // At a fence this may be the trainer's thread, or one that a delayed write waits for. Code of
        // the user, which observers call, does not run on it.
        if captured.rawBytes == 0, !isFenced { completion.written(task, bytes: written) }
    }

    /// Reports that a save is captured. A worker, without the lock: observers call the user's code.
    private func reportCapture(_ task: SaveTask, _ flight: FlightID) {
        let bytes = state.withLock { $0[flight].progress.bytes }
        // Of these blocks, those that the store had were not reported.
        if bytes.fenced > 0 { completion.written(task, bytes: bytes.written) }
        completion.captured(task)
        state.withLock { $0.machine.finishedAction(of: flight) }
    }

    /// Encodes a block in place or into the worker's spare slot. A worker, without the lock.
    private func encode(
        _ encode: Flight.EncodeJob, _ task: SaveTask, _ arena: StagingArena,
        _ spare: inout SlotIndex?, _ isLeftRaw: Bool
    ) {
        let began = ContinuousClock.now
        let target = isLeftRaw ? nil : spare
        let (block, isInSpare) = task.encode(
            encode.job.block, encode.captured, in: arena.region(ofSlot: encode.job.slot),
            spare: target.map(arena.region(ofSlot:)))
        let time = ContinuousClock.now - began
        var slot = encode.job.slot
        // The block continues in the spare slot; its old slot becomes the spare.
        if isInSpare, let used = spare { (spare, slot) = (slot, used) }
        state.withLock { state in
            if !isLeftRaw { state[encode.job.flight].progress.encoded(block, in: time) }
            state.machine.finishedEncoding(encode, block, slot: slot)
        }
    }

    /// Sleeps for `duration`, unless the save fails before. The writer, without the lock.
    private func pause(_ duration: Duration, _ flight: FlightID) {
        guard duration > .zero else { return }
        state.waitFor(timeout: duration) { state in state[flight].failure.map { _ in } }
    }

    /// Writes a block to its segment. The writer, without the lock.
    private func write(_ write: Flight.WriteJob, _ task: SaveTask, _ arena: StagingArena) {
        let began = ContinuousClock.now
        let failure = Self.failure("save") {
            try task.write(write.block, from: arena.region(ofSlot: write.job.slot))
        }
        let time = ContinuousClock.now - began
        let bytes = task.plan[block: write.job.block].bytes
        let written = state.withLock { state in
            if let failure {
                fail(&state, write.job.flight, failure, holding: write.job)
            } else {
                state[write.job.flight].progress.written(
                    write.job.block, write.block, of: bytes, in: time)
                state.machine.finishedWriting(write.job)
            }
            return state[write.job.flight].progress.bytes.written
        }
        if failure == nil { completion.written(task, bytes: written) }
    }

    /// Encodes and writes the objects of a save. The thread of the objects, without the lock.
    private func encodeObjects(_ task: SaveTask, _ flight: FlightID) {
        let writer = ObjectWriter(task: task, chunkBytes: configuration.chunkBytes) { bytes in
            self.state.withLock { $0.machine.place(of: flight, storedBytes: bytes) }
        }
        var objects = StoredObjects()
        let failure = Self.failure("objects of step \(task.ticket.step)") {
            objects = try writer.run()
        }
        state.withLock { state in
            state.machine.finishedAction(of: flight)
            if let failure {
                fail(&state, flight, failure)
            } else {
                state[flight].progress.stored(objects)
            }
        }
    }

    /// Commits a save of which everything is written. A worker, without the lock; the state machine
    /// gives it the oldest save only, so commits follow each other.
    private func commit(_ task: SaveTask, _ flight: FlightID) {
        let progress = state.withLock { state in
            var progress = state[flight].progress
            progress.arenaHighWaterBytes =
                state.machine.slots.highWaterMark * configuration.chunkBytes
            return progress
        }
        if let reason = completion.violation(before: task) {
            failAll(reason)
            task.writer.abandon()
            return failed(flight, task, reason)
        }
        do throws(CheckpointError) {
            let report = try completion.commit(task, progress)
            // Before the trainer learns of it: its next save must not be refused for this one.
            state.withLock { $0.machine.settled(flight) }
            completion.committed(task, report, progress)
            state.withLock { state in
                end(&state, flight)
                state.removals += 1
            }
            completion.removeExpired()
            state.withLock { $0.removals -= 1 }
        } catch {
            // The commit protocol removes segments or keeps them: it alone knows whether a manifest
            // may name them.
            failed(flight, task, error)
        }
    }

    /// Removes the files of a failed save. A worker, without the lock.
    private func abandon(_ task: SaveTask, _ flight: FlightID) {
        task.writer.abandon()
        let failure = state.withLock { $0[flight].failure }
        failed(flight, task, failure ?? CheckpointError(.io, "the save failed"))
    }

    /// Ends a save that was not committed. A worker, without the lock: observers are called.
    private func failed(_ flight: FlightID, _ task: SaveTask, _ error: CheckpointError) {
        state.withLock { $0.machine.settled(flight) }
        completion.failed(task, error)
        state.withLock { end(&$0, flight) }
    }

    /// Removes a save that observers know to have ended. A worker; the caller holds the lock.
    private func end(_ state: inout State, _ flight: FlightID) {
        state.machine.ended(flight)
        state.saves.remove(at: state.index(of: flight))
    }

    private static func failure(
        _ action: @autoclosure () -> String, _ body: () throws -> Void
    ) -> CheckpointError? {
        do { try body() } catch { return CheckpointError(any: error, during: action()) }
        return nil
    }
}
