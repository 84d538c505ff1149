internal import CheckpointCodecs
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointState

/// The threads and memory of saving. Carries out what `PipelineStateMachine` decides.
final class SavePipeline: Sendable {
    struct State {
        var machine: PipelineStateMachine
        var operation: SaveOperation?
        var failure: CheckpointError?
    }

    /// What becomes of a save; called on a worker thread.
    struct Outcome: Sendable {
        var captured: @Sendable (SaveOperation) -> Void
        var written: @Sendable (SaveOperation, _ bytes: Int) -> Void
        var commit: @Sendable (SaveOperation) throws -> Void
        var failed: @Sendable (SaveOperation, CheckpointError) -> Void
    }

    let arena: StagingArena
    private let state: Monitor<State>
    private let outcome: Outcome
    private let chunkBytes: Int

    init(arena: StagingArena, chunkBytes: Int, outcome: Outcome) {
        self.arena = arena
        self.chunkBytes = chunkBytes
        self.outcome = outcome
        state = Monitor(State(machine: PipelineStateMachine(slotCount: arena.slotCount)))
    }

    var isIdle: Bool { state.withLock { $0.machine.isIdle } }
    var arenaHighWaterBytes: Int { state.withLock { $0.machine.slots.highWaterMark } * arena.slotBytes }

    func waitUntilIdle() { state.waitFor { $0.machine.isIdle ? () : nil } }

    func begin(_ operation: SaveOperation, layout: SegmentLayout, isPlacedEarly: Bool) {
        let blocks = operation.plan.blocks
        let snapshot = SnapshotStateMachine(
            groupOfBlock: blocks.map(\.group), groupCount: operation.plan.groups.count)
        let bytes = blocks.map(\.bytes)
        state.withLock { state in
            state.machine.begin(
                snapshot: snapshot, rawBytes: bytes, layout: layout, isPlacedEarly: isPlacedEarly,
                hasObjects: !operation.frozenObjects.isEmpty)
            state.operation = operation
            state.failure = nil
        }
    }

    func close() { state.withLock { $0.machine.close() } }

    /// Fails the save of `ticket` if it is still in flight.
    func cancel(_ id: SaveTicket) {
        state.withLock { state in
            guard state.operation?.ticket === id else { return }
            fail(&state, CheckpointError(.cancelled, "the save of step \(id.step) was cancelled"), writing: nil)
        }
    }

    private func fail(_ state: inout State, _ error: CheckpointError, writing job: PipelineStateMachine.Job?) {
        if state.failure == nil { state.failure = error }
        state.machine.failed(writing: job)
    }

    // MARK: Workers

    /// The body of a worker thread.
    func work() {
        var scratch = ScratchBuffer()
        while true {
            let (action, operation) = state.waitFor { state in
                state.machine.nextAction().map { ($0, state.operation) }
            }
            guard action != .stop, let operation else { return }
            perform(action, operation, &scratch)
        }
    }

    private func perform(
        _ action: PipelineStateMachine.Action, _ operation: SaveOperation, _ scratch: inout ScratchBuffer
    ) {
        switch action {
        case .encodeObjects: encodeObjects(operation)
        case .capture(let job): capture(job, operation, isFenced: false)
        case .write(let job): write(job, operation, &scratch)
        case .commit: commit(operation)
        case .abandon: abandon(operation)
        case .stop: return
        }
    }

    private func encodeObjects(_ operation: SaveOperation) {
        let writer = ObjectWriter(operation: operation, chunkBytes: chunkBytes) { bytes in
            self.state.withLock { $0.machine.place(storedBytes: bytes) }
        }
        let failure = Self.failure("objects of step \(operation.ticket.step)") { try writer.run() }
        state.withLock { state in
            state.machine.finishedObjects()
            if let failure { fail(&state, failure, writing: nil) }
        }
    }

    private func capture(_ job: PipelineStateMachine.Job, _ operation: SaveOperation, isFenced: Bool) {
        operation.capture(job.block, to: arena.region(ofSlot: job.slot), isFenced: isFenced)
        let wasLast = state.withLock { $0.machine.finishedCapture(job) }
        if wasLast { outcome.captured(operation) }
    }

    private func write(
        _ job: PipelineStateMachine.Job, _ operation: SaveOperation, _ scratch: inout ScratchBuffer
    ) {
        var written = 0
        let failure = Self.failure("step \(operation.ticket.step)") {
            let rawBytes = operation.plan.blocks[job.block].bytes
            let scratchBytes = operation.encoder.scratchBytes(rawBytes: rawBytes)
            let (padded, block) = operation.encoder.encode(
                arena.region(ofSlot: job.slot), rawBytes: rawBytes,
                scratch: scratchBytes == 0 ? nil : try scratch.region(atLeast: scratchBytes))
            let place = job.place ?? state.withLock { $0.machine.place(storedBytes: block.storedBytes) }
            let location = try operation.writer.write(padded, block: block, at: place)
            written = operation.recordWritten(job.block, segment: place.segment, location)
        }
        state.withLock { state in
            if let failure { fail(&state, failure, writing: job) } else { state.machine.finishedWrite(job) }
        }
        if failure == nil { outcome.written(operation, written) }
    }

    private func commit(_ operation: SaveOperation) {
        let failure = Self.failure("commit of step \(operation.ticket.step)") { try outcome.commit(operation) }
        // What is left on disk is the commit protocol's affair: it alone knows whether a manifest may name the segments.
        if let failure { outcome.failed(operation, failure) }
        end()
    }

    private func abandon(_ operation: SaveOperation) {
        operation.writer.abandon()
        let failure = state.withLock { $0.failure }
        outcome.failed(operation, failure ?? CheckpointError(.io, "the save failed"))
        end()
    }

    private func end() {
        state.withLock { state in
            state.machine.ended()
            state.operation = nil
        }
    }

    private static func failure(_ action: String, _ body: () throws -> Void) -> CheckpointError? {
        do {
            try body()
            return nil
        } catch { return CheckpointError(any: error, during: action) }
    }

    // MARK: Fences

    /// Returns when nothing of `group` is left to capture, helping to capture it. Of everything, if nil.
    /// - Returns: time spent waiting for arena slots, that is, for the disk.
    func passFence(_ group: String?) -> Duration {
        var backpressure = Duration.zero
        // A name that no tensor has may be a mistake, and a torn checkpoint its price: it waits for everything.
        let index: Int?? = state.withLock { state in
            state.operation.map { operation in group.flatMap { operation.plan.groups.firstIndex(of: $0) } }
        }
        guard case .some(let index) = index else { return .zero }
        state.withLock { $0.machine.beginFence(index) }
        defer { state.withLock { $0.machine.endFence(index) } }
        while true {
            let began = ContinuousClock.now
            let (step, operation, wasFull) = state.waitForStep(atFence: index)
            if wasFull { backpressure += .now - began }
            guard case .capture(let job) = step, let operation else { return backpressure }
            capture(job, operation, isFenced: true)
        }
    }
}

extension Monitor<SavePipeline.State> {
    /// Waits for something to do at a fence, and tells whether the wait was for a free slot.
    fileprivate func waitForStep(
        atFence group: Int?
    ) -> (PipelineStateMachine.FenceStep, SaveOperation?, wasFull: Bool) {
        var wasFull = false
        return waitFor { state in
            guard let step = state.machine.nextStep(atFence: group) else {
                if !state.machine.slots.hasFree { wasFull = true }
                return nil
            }
            return (step, state.operation, wasFull)
        }
    }
}
