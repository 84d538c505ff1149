internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointState
internal import CheckpointStorage

/// Capture by threads outside the pipeline, before state changes.
extension SavePipeline {
    /// A block to capture, its save, and where it goes.
    fileprivate typealias Work = (PipelineStateMachine.Job, SaveTask, StagingArena)

    /// Helps to capture `group`, and returns when none of it is left to capture. The trainer's
    /// thread, or another that asks for a permit; without the lock.
    ///
    /// - Parameters:
    ///   - group: the group; nil means the full state.
    ///   - policy: decides whether saves that wait for the disk are waited for.
    ///   - whileWaiting: called with true before this thread first waits for others, and then with
    ///     false at the end.
    /// - Returns: time spent waiting for arena slots, that is, for the disk.
    func passFence(
        _ group: String?, _ policy: CheckpointerOptions.Backpressure, whileWaiting: (Bool) -> Void
    ) -> Duration {
        let fence: (id: FenceID, charged: SaveTask)? = state.withLock { state in
            state.forecast.fenceBegan(at: .now)
            guard let last = state.saves.last, !state.machine.isReleased else { return nil }
            if policy == .replacePending {
                for flight in state.machine.unstarted { giveUp(&state, flight, for: "training") }
            }
            let charged = state.saves.last { $0.failure == nil } ?? last
            return (state.machine.beginFence(group), charged.task)
        }
        guard let (fence, charged) = fence else { return .zero }
        let began = configuration.trainer.begin()
        charged.timing.withLock { $0.begin(.fence, at: .now) }
        defer {
            state.withLock { $0.machine.endFence(fence) }
            charged.timing.withLock { $0.end(at: .now) }
            configuration.trainer.end("fence", since: began, step: charged.ticket.step)
        }
        var backpressure = Duration.zero
        var hasWaited = false
        while let (job, task, arena) = nextJob(
            atFence: fence, charged, &backpressure,
            beforeWaiting: {
                if !hasWaited { whileWaiting(true) }
                hasWaited = true
            })
        {
            capture(job, task, arena, configuration.trainer, isFenced: true)
        }
        if hasWaited { whileWaiting(false) }
        return backpressure
    }

    /// Returns whether no save in flight needs the memory of a group any more.
    func isReleased(_ group: String?) -> Bool { state.withLock { $0.machine.isReleased(group) } }

    /// Captures a given block on this thread, unless it was captured or another thread is capturing
    /// it. The guard's thread, without the lock.
    ///
    /// - Returns: time spent waiting for an arena slot, that is, for the disk.
    func captureNow(_ block: BlockIndex, of flight: FlightID, track: TraceTrack) -> Duration {
        let began = ContinuousClock.now
        let charged = state.withLock { state in state.saves.first { $0.flight == flight }?.task }
        var backpressure = Duration.zero
        let work = nextWork(&backpressure, beforeWaiting: {}) { state in
            state.machine.nextAction(for: block, of: flight).map { state.turn($0) }
        }
        if let (job, task, arena) = work { capture(job, task, arena, track, isFenced: true) }
        charged?.timing.withLock { $0.add(fence: .now - began - backpressure, backpressure: backpressure) }
        return backpressure
    }

    /// Returns the next block to capture at a fence; nil: pass. The thread at the fence;
    /// without the lock.
    private func nextJob(
        atFence fence: FenceID, _ charged: SaveTask, _ backpressure: inout Duration, beforeWaiting: () -> Void
    ) -> Work? {
        let began = configuration.trainer.begin()
        var waited = Duration.zero
        let work = nextWork(&waited, beforeWaiting: beforeWaiting) { $0.turn(atFence: fence) }
        if waited > .zero {
            backpressure += waited
            charged.timing.withLock { $0.move(toBackpressure: waited) }
            configuration.trainer.end("backpressure", since: began, step: charged.ticket.step)
        }
        return work
    }

    /// Waits for the next turn of a thread outside the pipeline, and gives memory to slots rather
    /// than wait for one. That thread, without the lock.
    ///
    /// - Parameters:
    ///   - backpressure: increased by the time spent waiting for slots.
    ///   - beforeWaiting: called before each wait.
    ///   - turn: decides; nil: wait.
    private func nextWork(
        _ backpressure: inout Duration, beforeWaiting: () -> Void,
        _ turn: (inout State) -> State.Turn?
    ) -> Work? {
        while true {
            let next = state.withLock { turn(&$0) } ?? wait(&backpressure, beforeWaiting, turn)
            switch next {
            case .touch(let slot, let arena): touch(slot, arena)
            case .work(let work): return work
            case .pass: return nil
            }
        }
    }

    private func wait(
        _ backpressure: inout Duration, _ beforeWaiting: () -> Void,
        _ turn: (inout State) -> State.Turn?
    ) -> State.Turn {
        let began = ContinuousClock.now
        var wasFull = false
        beforeWaiting()
        let next = state.waitFor { state -> State.Turn? in
            if !state.machine.slots.hasFree { wasFull = true }
            return turn(&state)
        }
        if wasFull { backpressure += .now - began }
        return next
    }
}

extension SavePipeline.State {
    /// The decision on a thread that needs blocks to be captured.
    fileprivate enum Turn {
        case pass
        case work(SavePipeline.Work)
        case touch(SlotIndex, StagingArena)
    }

    /// Returns what a thread at a fence does next; nil: wait.
    fileprivate mutating func turn(atFence fence: FenceID) -> Turn? {
        machine.nextAction(atFence: fence).map { turn($0) }
    }

    fileprivate func turn(_ action: PipelineStateMachine.FenceAction) -> Turn {
        switch action {
        case .pass: .pass
        case .capture(let job): .work((job, self[job.flight].task, arena))
        case .touch(let slot): .touch(slot, arena)
        }
    }
}
