internal import CheckpointStorage
internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointState

/// Memory and threads of saving: executes the decisions of `PipelineStateMachine`.
final class SavePipeline: Sendable {
    /// How the pipeline is laid out.
    struct Configuration {
        var chunkBytes: Int
        var slotCount: Int
        /// Number of workers. Each holds one more slot if blocks are encoded.
        var workers: Int
        var encodes: Bool
        var streams: Bool
        var bytesPerSecond: Int?
        /// Trace lane of the trainer's thread.
        var trainer = TraceLane.none

        var spareCount: Int { encodes ? workers : 0 }

        init(_ options: CheckpointerOptions, encodes: Bool) {
            chunkBytes = options.chunkBytes
            slotCount = max(options.arenaBytes / options.chunkBytes, 1)
            workers = options.workers
            self.encodes = encodes
            streams = options.mechanisms.streams
            bytesPerSecond = options.bytesPerSecond
        }
    }

    struct State {
        struct Flying {
            var flight: Int
            var task: SaveTask
            var failure: CheckpointError?
        }

        var machine: PipelineStateMachine
        var flying: [Flying] = []
        var arena: StagingArena

        func index(of flight: Int) -> Int {
            guard let index = flying.firstIndex(where: { $0.flight == flight }) else { preconditionFailure("no save \(flight)") }
            return index
        }
    }

    let configuration: Configuration
    let state: Monitor<State>
    private let lifecycle: any SaveLifecycle
    /// Devices prepared for copies to the arena.
    let devices = DeviceCopies()

    /// Allocates the arena.
    ///
    /// - Parameters:
    ///   - configuration: sizes and thread counts.
    ///   - outcome: callbacks.
    /// - Throws: `OutOfMemory` if the system refuses the arena.
    init(
        _ configuration: Configuration, lifecycle: any SaveLifecycle
    ) throws(OutOfMemory) {
        self.configuration = configuration
        self.lifecycle = lifecycle
        let machine = PipelineStateMachine(
            slotCount: configuration.slotCount, spareCount: configuration.spareCount, streams: configuration.streams)
        let arena = try Self.arena(configuration)
        state = Monitor(
            State(machine: machine, arena: arena), channels: 1 + PipelineStateMachine.Role.allCases.count
        ) { state in
            var channels: Monitor<State>.Channels = 0
            for role in PipelineStateMachine.Role.allCases where state.machine.hasWork(for: role) { channels |= 1 << role.channel }
            return channels
        }
    }

    private static func arena(_ configuration: Configuration) throws(OutOfMemory) -> StagingArena {
        try StagingArena(
            slotBytes: configuration.chunkBytes, slotCount: configuration.slotCount + configuration.spareCount)
    }

    var isIdle: Bool { state.withLock { $0.machine.isIdle } }
    var arenaHighWaterBytes: Int { state.withLock { $0.machine.slots.highWaterMark } * configuration.chunkBytes }

    func waitUntilIdle() { state.waitFor { $0.machine.isIdle ? () : nil } }

    /// Waits until no save in flight needs the trainer's memory any more.
    func waitUntilReleased() { state.waitFor { $0.machine.isReleased ? () : nil } }

    /// Allocates a new arena for the next save; no save may be in flight.
    func replaceArena() throws(OutOfMemory) {
        // The old arena is freed first, so that both do not exist at the same time.
        let nothing = try StagingArena(slotBytes: Limits.pageBytes, slotCount: 1)
        state.withLock { $0.arena = nothing }
        let arena = try Self.arena(configuration)
        state.withLock { state in
            precondition(state.machine.isIdle)
            state.arena = arena
        }
    }

    // MARK: Saves

    /// Begins a save.
    ///
    /// - Returns: id of the save.
    @discardableResult
    func begin(_ task: SaveTask, layout: SegmentLayout) -> Int {
        let plan = task.plan
        let snapshot = SnapshotStateMachine(blocks: plan.blocks.map { ($0.unit, $0.lane) }, groupCount: plan.unitCount)
        let flight = Flight.Plan(
            snapshot: snapshot, groupIndex: plan.unitIndex, layout: layout, isPlacedEarly: !task.encoder.needsSpare,
            hasObjects: !task.frozenObjects.isEmpty)
        return state.withLock { state in
            let id = state.machine.begin(flight)
            state.flying.append(State.Flying(flight: id, task: task))
            return id
        }
    }

    /// Waits until another save may begin, or drops unstarted saves to make room.
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
            throw CheckpointError(.skipped, "step \(step) is not saved: an earlier save is still being written")
        }
    }

    func giveUp(_ state: inout State, _ flight: Int, for successor: String) {
        let step = state.flying[state.index(of: flight)].task.ticket.step
        fail(&state, flight, CheckpointError(.skipped, "step \(step) is not saved: the disk was busy, and it gave way to \(successor)"))
    }

    func close() { state.withLock { $0.machine.close() } }

    /// Fails the save of `ticket` if it is still in flight.
    func cancel(_ ticket: SaveTicket) {
        state.withLock { state in
            guard let flying = state.flying.first(where: { $0.task.ticket === ticket }) else { return }
            fail(&state, flying.flight, CheckpointError(.cancelled, "the save of step \(ticket.step) was cancelled"))
        }
    }

    /// Fails every save in flight that is not being committed already.
    func failAll(_ error: CheckpointError) {
        state.withLock { state in for flying in state.flying { fail(&state, flying.flight, error) } }
    }

    private func fail(
        _ state: inout State, _ flight: Int, _ error: CheckpointError, holding job: PipelineStateMachine.Job? = nil
    ) {
        let index = state.index(of: flight)
        if state.flying[index].failure == nil { state.flying[index].failure = error }
        state.machine.failed(flight: flight, holding: job)
        let task = state.flying[index].task
        task.guarding?.stopProtecting(task.ticket.id)
    }

    // MARK: Actions

    /// Body of a pipeline thread; returns when the pipeline is closed.
    func work(as role: PipelineStateMachine.Role, spare: Int? = nil, lane: TraceLane = .none) {
        var spare = spare
        var limiter = RateLimiter(bytesPerSecond: configuration.bytesPerSecond)
        while true {
            let (action, task, arena) = state.waitFor(on: role.channel) { state in
                state.machine.nextAction(for: role).map { action in
                    (action, action.flight.map { state.flying[state.index(of: $0)].task }, state.arena)
                }
            }
            guard let task else { return }
            if case .write(let job) = action {
                pause(limiter.delay(before: task.plan.blocks[job.block].bytes, now: .now), job.flight)
            }
            let began = lane.begin()
            defer { lane.end(action, task, since: began) }
            switch action {
            case .capture(let job): capture(job, task, arena, lane, isFenced: false)
            case .encode(let job): encode(job, task, arena, &spare)
            case .write(let job): write(job, task, arena)
            case .encodeObjects(let flight): encodeObjects(task, flight)
            case .commit(let flight): commit(task, flight)
            case .abandon(let flight): abandon(task, flight)
            case .stop: return
            }
        }
    }

    func capture(
        _ job: PipelineStateMachine.Job, _ task: SaveTask, _ arena: StagingArena, _ lane: TraceLane, isFenced: Bool
    ) {
        let began = lane.begin()
        var rawBytes = task.plan.blocks[job.block].bytes
        let failure = Self.failure("capture") {
            rawBytes = try task.capture(job.block, to: arena.region(ofSlot: job.slot), isFenced: isFenced)
        }
        // Before anybody learns of it: what is shown must not reach into the update that waits for it.
        lane.end("capture", job, task, since: began)
        let wasLast = state.withLock { state in
            if let failure { fail(&state, job.flight, failure) }
            return state.machine.finishedCapture(job, rawBytes: rawBytes)
        }
        if rawBytes == 0 { lifecycle.written(task, bytes: task.writtenBytes) }
        if wasLast { lifecycle.captured(task) }
    }

    private func encode(
        _ job: PipelineStateMachine.Job, _ task: SaveTask, _ arena: StagingArena, _ spare: inout Int?
    ) {
        let (storedBytes, isInSpare) = task.encode(
            job.block, in: arena.region(ofSlot: job.slot), spare: spare.map(arena.region(ofSlot:)))
        var job = job
        // The block continues in the spare slot; its old slot becomes the spare.
        if isInSpare, let used = spare { (spare, job.slot) = (job.slot, used) }
        state.withLock { $0.machine.finishedEncoding(job, storedBytes: storedBytes) }
    }

    /// Sleeps for `duration`, unless the save fails before.
    private func pause(_ duration: Duration, _ flight: Int) {
        guard duration > .zero else { return }
        state.waitFor(timeout: duration) { state in state.flying[state.index(of: flight)].failure.map { _ in } }
    }

    private func write(_ job: PipelineStateMachine.Job, _ task: SaveTask, _ arena: StagingArena) {
        guard let place = job.place else { preconditionFailure("block \(job.block) has no place") }
        var written = 0
        let failure = Self.failure("save") {
            written = try task.write(job.block, from: arena.region(ofSlot: job.slot), at: place)
        }
        state.withLock { state in
            if let failure { fail(&state, job.flight, failure, holding: job) } else { state.machine.finishedWriting(job) }
        }
        if failure == nil { lifecycle.written(task, bytes: written) }
    }

    private func encodeObjects(_ task: SaveTask, _ flight: Int) {
        let writer = ObjectWriter(task: task, chunkBytes: configuration.chunkBytes) { bytes in
            self.state.withLock { $0.machine.place(flight: flight, storedBytes: bytes) }
        }
        let failure = Self.failure("objects of step \(task.ticket.step)") { try writer.run() }
        state.withLock { state in
            state.machine.finishedObjects(flight: flight)
            if let failure { fail(&state, flight, failure) }
        }
    }

    private func commit(_ task: SaveTask, _ flight: Int) {
        let highWater = arenaHighWaterBytes
        task.results.withLock { $0.arenaHighWaterBytes = highWater }
        if let reason = lifecycle.violation(before: task) {
            failAll(reason)
            task.writer.abandon()
            lifecycle.failed(task, reason)
            return end(flight)
        }
        let failure = Self.failure("commit of step \(task.ticket.step)") { try lifecycle.commit(task) }
        // The commit protocol removes segments or keeps them: it alone knows whether a manifest may name them.
        if let failure { lifecycle.failed(task, failure) }
        end(flight)
        if failure == nil { lifecycle.ended() }
    }

    private func abandon(_ task: SaveTask, _ flight: Int) {
        task.writer.abandon()
        let failure = state.withLock { $0.flying[$0.index(of: flight)].failure }
        lifecycle.failed(task, failure ?? CheckpointError(.io, "the save failed"))
        end(flight)
    }

    private func end(_ flight: Int) {
        state.withLock { state in
            state.machine.ended(flight: flight)
            state.flying.remove(at: state.index(of: flight))
        }
    }

    private static func failure(_ action: @autoclosure () -> String, _ body: () throws -> Void) -> CheckpointError? {
        do {
            try body()
            return nil
        } catch { return CheckpointError(any: error, during: action()) }
    }
}

extension PipelineStateMachine.Role {
    /// Number of the channel on which threads of this kind wait; 0 is for all threads outside the
    /// pipeline.
    var channel: Int { rawValue + 1 }
}

extension PipelineStateMachine.Action {
    /// Id of the save that the action concerns.
    var flight: Int? {
        switch self {
        case .capture(let job), .encode(let job), .write(let job): job.flight
        case .encodeObjects(let flight), .commit(let flight), .abandon(let flight): flight
        case .stop: nil
        }
    }
}
