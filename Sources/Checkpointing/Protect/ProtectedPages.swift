internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointGuard
internal import CheckpointIO
internal import CheckpointState
internal import CheckpointStorage

/// The pages of the state that may not be written to, because their blocks are not captured yet.
///
/// `begin` and `begun` on the trainer's thread, `blocks` on the guard's, the others on any that
/// captures or ends a save. Pages are released with no lock of its own held; if a save fails, under
/// that of the pipeline.
final class ProtectedPages: PageGuarding {
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
        /// Number of threads that are releasing pages of the previous save; `begin` waits until
        /// it is 0, so that they do not release pages of the next one.
        var releasing = 0
    }

    private let state = Monitor(State(), rank: .guarded)
    private let memory: Userfault
    private let beforeRelease: (@Sendable () -> Void)?

    /// Protects nothing yet.
    ///
    /// - Parameters:
    ///   - memory: protects pages.
    ///   - beforeRelease: test hook, called before pages are released.
    init(_ memory: Userfault, beforeRelease: (@Sendable () -> Void)?) {
        self.memory = memory
        self.beforeRelease = beforeRelease
    }

    // MARK: Saving

    /// Protects the state. The trainer must not change it before this has returned, and `begun` is
    /// called soon after.
    ///
    /// - Throws: code `misuse` (memory of a device), `GuardError`, `OutOfMemory`.
    func begin(_ task: SaveTask) throws {
        let layout = try layout(task)
        let blocks = task.plan.blocks.count
        state.waitFor { state -> Void? in
            guard state.releasing == 0 else { return nil }
            state.current = Current(
                save: task.ticket.id, layout: layout,
                isCaptured: [Bool](repeating: false, count: blocks))
            return ()
        }
        do {
            try memory.protect(layout.map.pages)
            try layout.freeze(task.inventory.tensors)
        } catch {
            stopProtecting(task.ticket.id)
            throw error
        }
    }

    /// The pipeline knows the save that has begun as `flight`.
    func begun(flight: FlightID) { state.withLock { $0.current?.flight = flight } }

    private func layout(_ task: SaveTask) throws -> GuardLayout {
        let tensors = task.inventory.tensors
        if let device = tensors.lazy.compactMap({ $0.view.memory.device }).first {
            throw CheckpointError(
                .misuse, "memory of \(device.name) cannot be guarded",
                remedy: "Set capture to .fenced")
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
    ///
    /// - Returns: whether there are any.
    func restoreFrozen(_ chunk: Int, in region: MemoryRegion) -> Bool {
        state.withLock { $0.current?.layout }?.restoreFrozen(chunk, in: region) ?? false
    }

    /// Releases the pages of a captured block, except those that another block still needs.
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
        guard !pages.isEmpty else { return }
        beforeRelease?()
        for range in pages { memory.release(range) }
    }

    // MARK: Held writes

    /// Returns the blocks on a page, and the save that they are captured for; waits until a save
    /// that is just beginning has begun. The guard's thread.
    ///
    /// - Returns: nil if no save is protected.
    func blocks(onPageOf address: UInt) -> (blocks: [Int], flight: FlightID)? {
        let protected = state.waitFor { state -> (GuardLayout, FlightID)?? in
            guard let current = state.current else { return .some(nil) }
            return current.flight.map { (current.layout, $0) }
        }
        return protected.map { ($0.map.blocks(onPageOf: address), $1) }
    }

    /// Wakes the thread that waits for a captured page: the page may have been released just before
    /// the wait began. A block that another thread is capturing is released by that thread.
    func releaseIfOut(_ address: UInt) {
        let start = address / PageRange.pageSize * PageRange.pageSize
        release { state in
            let isOut = state.current.map { current in
                current.layout.map.blocks(onPageOf: address).allSatisfy { current.isCaptured[$0] }
            }
            return isOut ?? true ? [PageRange(start: start, end: start + PageRange.pageSize)] : []
        }
    }
}
