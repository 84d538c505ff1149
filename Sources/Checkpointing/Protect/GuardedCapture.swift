internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointGuard
internal import CheckpointIO
internal import CheckpointState
internal import CheckpointStorage

/// Guarded mode: the state's pages are protected from `save` until their blocks are captured, and
/// an earlier write is delayed until then. The trainer calls no fence.
///
/// `begin`, `begun` and `close` on the trainer's thread, `hold` on the guard's, the others on any
/// that captures.
/// Pages are released with no lock of its own held; if a save fails, under that of the pipeline.
final class GuardedCapture: StateProtection, PageGuarding {
    private struct Current {
        let save: CheckpointID
        var layout: GuardLayout
        /// Id of the save in the pipeline; nil until it has begun.
        var flight: FlightID?
        var isCaptured: [Bool]
    }

    private struct State {
        /// The layout whose pages are registered with the kernel.
        var registered: GuardLayout?
        /// The layout and save that are protected now.
        var current: Current?
        /// Number of threads that are releasing pages of the previous save; `protect` waits until
        /// it is 0, so that they do not release pages of the next one.
        var releasing = 0
    }

    private let state = Monitor(State(), rank: .guarded)
    /// Set once, at the end of `init`, since the guard's callback refers to this object.
    private let memory = Monitor<WriteGuard?>(nil)
    /// The pipeline owns saves, and these own this object. The checkpointer owns both, and closes
    /// this object before it lets go of the pipeline.
    private unowned let pipeline: SavePipeline
    private let track: TraceTrack
    private let beforeRelease: (@Sendable () -> Void)?
    /// Called with the time for which a write was held, and the part of it spent waiting for the
    /// disk.
    private let held: @Sendable (_ time: Duration, _ backpressure: Duration) -> Void

    /// Starts the guard.
    ///
    /// - Parameters:
    ///   - pipeline: captures the blocks.
    ///   - beforeRelease: test hook, called before pages are released.
    ///   - held: called on the guard's thread after each held write.
    /// - Throws: `GuardError`, if the kernel or the process's privileges do not allow it.
    init(
        _ pipeline: SavePipeline, beforeRelease: (@Sendable () -> Void)? = nil, held: @escaping @Sendable (Duration, Duration) -> Void
    ) throws {
        self.pipeline = pipeline
        track = pipeline.configuration.trainer.recorder?.track(named: "ckpt-guard") ?? .none
        self.beforeRelease = beforeRelease
        self.held = held
        let memory = try WriteGuard { [unowned self] address in self.hold(address) }
        self.memory.withLock { $0 = memory }
    }

    /// Releases all pages, and ends the protection. No save may be in flight.
    func close() {
        let memory = memory.withLock { memory in
            defer { memory = nil }
            return memory
        }
        memory?.close()
    }

    // MARK: Saving

    var guarding: (any PageGuarding)? { self }

    /// Protects the state. The trainer must not change it before this has returned, and `begun` is
    /// called soon after.
    func begin(_ task: SaveTask) throws -> [String] {
        guard let memory = memory.withLock({ $0 }) else { return [] }
        let layout = try layout(task, memory)
        let blocks = task.plan.blocks.count
        state.waitFor { state -> Void? in
            guard state.releasing == 0 else { return nil }
            state.current = Current(save: task.ticket.id, layout: layout, isCaptured: [Bool](repeating: false, count: blocks))
            return ()
        }
        do {
            try memory.protect(layout.map.pages)
            try layout.freeze(task.inventory.tensors)
        } catch {
            stopProtecting(task.ticket.id)
            throw error
        }
        return []
    }

    func begun(flight: FlightID) { state.withLock { $0.current?.flight = flight } }

    private func layout(_ task: SaveTask, _ memory: WriteGuard) throws -> GuardLayout {
        let tensors = task.inventory.tensors
        if let device = tensors.lazy.compactMap({ $0.view.memory.device }).first {
            throw CheckpointError(
                .misuse, "memory of \(device.name) cannot be guarded", remedy: "Set capture to .fenced")
        }
        let known = state.withLock { $0.registered }
        if let known, known.fits(task.plan, tensors) { return known }
        let layout = try GuardLayout(task.plan, tensors, sharesPages: true)
        if let known { memory.unregister(known.map.pages) }
        state.withLock { $0.registered = nil }
        try memory.register(layout.map.pages)
        state.withLock { $0.registered = layout }
        return layout
    }

    // MARK: Capturing

    /// Puts the copies of bytes that are not guarded in their place in a captured chunk.
    /// - Returns: whether there are any.
    func restoreFrozen(_ chunk: Int, in region: MemoryRegion) -> Bool {
        state.withLock { $0.current?.layout }?.restoreFrozen(chunk, in: region) ?? false
    }

    /// Releases the pages of a captured block, except those that another block still needs. Any
    /// thread.
    func captured(_ index: BlockIndex) {
        let block = index.rawValue
        release { state in
            state.current?.isCaptured[block] = true
            guard let current = state.current else { return [] }
            return current.layout.map.pagesOut(after: block) { current.isCaptured[$0] }
        }
    }

    /// A save has failed, and its pages are no longer protected. Those of the next save are: it may
    /// have begun while this one was being written.
    func stopProtecting(_ save: CheckpointID) {
        release { state in
            guard let current = state.current, current.save == save else { return [] }
            state.current = nil
            return current.layout.map.pages
        }
    }

    /// Releases the pages that `decide` returns. No save begins between the decision and the
    /// release, since the release would open pages of that save.
    private func release(_ decide: (inout State) -> [PageRange]) {
        let pages = state.withLock { state in
            state.releasing += 1
            return decide(&state)
        }
        defer { state.withLock { $0.releasing -= 1 } }
        guard !pages.isEmpty, let memory = memory.withLock({ $0 }) else { return }
        beforeRelease?()
        for range in pages { memory.release(range) }
    }

    // MARK: Held writes

    /// Captures the blocks on a protected page that a thread writes to. Called on the guard's thread.
    private func hold(_ address: UInt) {
        let (began, span) = (ContinuousClock.now, track.begin())
        defer { track.end("hold", since: span) }
        var backpressure = Duration.zero
        if let (layout, flight) = protection() {
            for block in layout.map.blocks(onPageOf: address) {
                backpressure += pipeline.captureNow(BlockIndex(block), of: flight, track: track)
            }
        }
        releaseIfOut(address)
        held(.now - began, backpressure)
    }

    /// Returns the layout and the save that is protected; waits until a save that is just beginning
    /// has begun.
    private func protection() -> (GuardLayout, FlightID)? {
        state.waitFor { state -> (GuardLayout, FlightID)?? in
            guard let current = state.current else { return .some(nil) }
            return current.flight.map { (current.layout, $0) }
        }
    }

    /// Wakes the thread that waits for a captured page: the page may have been released just before the wait began. A block that another
    /// thread is capturing is released by that thread.
    private func releaseIfOut(_ address: UInt) {
        let start = address / PageRange.pageSize * PageRange.pageSize
        release { state in
            let isOut = state.current.map { current in
                current.layout.map.blocks(onPageOf: address).allSatisfy { current.isCaptured[$0] }
            }
            return isOut ?? true ? [PageRange(start: start, end: start + PageRange.pageSize)] : []
        }
    }
}
