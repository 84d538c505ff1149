internal import CheckpointStorage
internal import CheckpointCodecs
public import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
public import CheckpointState
internal import SystemPackage

/// Saves and restores the state of one training loop in one store.
///
/// The contract with the trainer: between updates the state does not change, and it changes only while a `MutationPermit` is
/// held. In between, `save` may be called; it returns at once, and the state is copied out of the trainer's memory
/// while forward and backward run.
///
///     let checkpointer = try Checkpointer(store: store, state: state)
///     try checkpointer.resume()
///     for step in 1... {
///         let loss = forwardBackward()
///         checkpointer.mutate { optimizer.update() }
///         if step % 100 == 0 { try checkpointer.save(step: step, metrics: ["loss": loss]) }
///     }
///     try checkpointer.close()
///
/// Call it from one thread, the trainer's.
public final class Checkpointer: Sendable {
    /// Where checkpoints go.
    public let store: CheckpointStore
    private let provider: any StateProvider
    let session: SaveSession
    private let pipeline: SavePipeline
    private let crew: ThreadCrew

    /// Begins a run: allocates the arena, starts the workers, and describes the state once, so that mistakes in it show before
    /// training and the first save is as quick as the others.
    /// - Parameter store: open for writing.
    /// - Throws: codes `misuse`, `busy` (another checkpointer saves to this store), `provider`, `outOfMemory`, `io`.
    public init(
        store: CheckpointStore, state provider: any StateProvider, options: CheckpointerOptions = .init()
    ) throws(CheckpointError) {
        try options.check()
        guard store.access == .writing else {
            throw CheckpointError(.misuse, "the store is open for reading only", remedy: "Open it with access .writing")
        }
        self.store = store
        self.provider = provider
        let run = RunID.next(clockMilliseconds: UInt64(Clock.milliseconds), after: try store.files.names().last?.run)
        session = SaveSession(store: store, options: options, run: run, claim: try store.claimForCheckpointer())
        try MemoryPreflight.check(options)
        let session = session
        (pipeline, crew) = try translating("starting") {
            var configuration = SavePipeline.Configuration(options, encodes: options.compression != .none)
            configuration.trainer = session.trainer
            // Workers encode, and so does the thread for objects.
            options.compression.codec.prepareToEncode(threads: options.workers + 1, rawBytes: options.chunkBytes)
            let pipeline = try SavePipeline(configuration, outcome: session.outcome)
            return (pipeline, try ThreadCrew(pipeline, niceness: options.workerNiceness))
        }
        do throws(CheckpointError) {
            try session.setUpProtection(pipeline)
            try session.readHistory()
            try rehearse()
        } catch {
            stop()
            throw error
        }
    }

    /// A checkpointer dropped without `close` lets the saves in flight finish, as long as the process lives.
    /// Guarded state is waited for: nobody else could let its writes through.
    deinit { if session.guarded == nil { pipeline.close() } else { stop() } }

    /// The run that this checkpointer's saves belong to.
    public var run: RunID { session.run }

    // MARK: Saving

    /// Asks for a checkpoint of the state as it is now, and returns at once.
    ///
    /// Step, metrics and object values are taken now; tensors are captured in the background until the next permit.
    /// - Parameters:
    ///   - step: number of updates made so far; unique in the run.
    ///   - metrics: what a person may want to choose checkpoints by.
    /// - Returns: the ticket by which the save can be followed. A bad day, be it a full disk or a provider that throws, is the ticket's
    ///   failure and never thrown here: it is also an event, and told again by the next ticket or by `close`.
    /// - Throws: code `misuse` alone: a permit is held, the step is negative, or the checkpointer is closed.
    @discardableResult
    public func save(step: Int, metrics: [String: Double] = [:]) throws(CheckpointError) -> SaveTicket {
        let called = ContinuousClock.now
        try checkUse(step: step)
        session.called(at: called)
        let span = session.trainer.begin()
        defer { session.trainer.end("save", since: span, step: step) }
        let ticket = SaveTicket(step: step, earlierFailure: session.takeFailure()) { [pipeline] in pipeline.cancel($0) }
        do throws(CheckpointError) {
            try pipeline.admit(step: step, session.options.backpressure)
            // Pages can be protected for one save at a time.
            if session.guarded != nil { _ = pipeline.passFence(nil, .block) { crew.setUrgent($0) } }
            let started = ContinuousClock.now
            let operation = try prepare(ticket, metrics, started)
            operation.results.withLock { $0.stall.begin(submitted: started, called: called) }
            session.started(operation)
            try begin(operation)
            session.recordSubmission(operation, called: called, started: started)
        } catch {
            session.failed(ticket, error)
        }
        return ticket
    }

    private func checkUse(step: Int) throws(CheckpointError) {
        guard step >= 0 else { throw CheckpointError(.misuse, "step \(step) is negative") }
        let (permits, isClosed) = session.state.withLock { ($0.permits, $0.isClosed) }
        guard !isClosed else { throw CheckpointError(.misuse, "the checkpointer is closed") }
        guard permits == 0 else {
            throw CheckpointError(
                .misuse, "save of step \(step) while a mutation permit is held",
                remedy: "End the permit before saving: the state must not change while it is captured")
        }
    }

    /// Prepares a save and drops it: finds mistakes in the state, and makes everything that the first save would otherwise make.
    private func rehearse() throws(CheckpointError) {
        do {
            _ = try prepare(SaveTicket(step: 0, earlierFailure: nil) { _ in }, [:], .now)
        } catch {
            // A full disk is the first save's affair.
            if error.code != .noSpace { throw error }
        }
    }

    private func begin(_ operation: SaveOperation) throws(CheckpointError) {
        let mechanisms = session.options.mechanisms
        try translating("preparing the capture") {
            if !mechanisms.preallocates {
                pipeline.waitUntilIdle()
                try pipeline.replaceArena()
            }
            try session.devices.prepare(for: operation.inventory, pipeline, crew, warn: session.warn)
        }
        try translating("protecting the state") { try protect(operation) }
        let flight = pipeline.begin(operation, layout: SegmentLayout(segmentBytesMax: session.options.segmentBytes))
        session.guarded?.begun(flight: flight)
        if !mechanisms.isLazy { _ = pipeline.passFence(nil, .block) { _ in } }
    }

    /// Sees to it that changes of the state are held, or found, as the options want it.
    private func protect(_ operation: SaveOperation) throws {
        try session.guarded?.protect(operation)
        if let checker = session.checker { report(try checker.begin(operation), "save of step \(operation.ticket.step)") }
    }

    /// Tells of tensors that were changed without a permit, and fails the saves that may have captured them.
    private func report(_ names: [String], _ occasion: String) {
        guard let error = SaveSession.violation(names, occasion) else { return }
        session.warn("\(error)")
        pipeline.failAll(error)
    }

    private func prepare(
        _ ticket: SaveTicket, _ metrics: [String: Double], _ started: ContinuousClock.Instant
    ) throws(CheckpointError) -> SaveOperation {
        let (inventory, objects) = try translating("describing the state") {
            let inventory = try StateInventory(unchecked: provider)
            return (inventory, try inventory.objects.map { try $0.freeze() })
        }
        let planned = try translating("describing the state") { try session.plan(for: inventory) }
        let plan = planned.plan
        try checkSpace(plan.totalBytes)
        let (encoder, reason) = session.encoder(bytes: plan.totalBytes)
        let header = header(ticket, metrics, plan)
        let writer = SegmentWriter(
            fileSystem: store.fileSystem, directories: store.directories, store: store.id, attempt: ticket.id, rank: 0,
            blockCount: plan.blocks.count, pool: session.pool)
        return SaveOperation(
            header: header, planned: planned, inventory: inventory, frozenObjects: objects, writer: writer, encoder: encoder,
            levelReason: reason, reuse: session.reuse, likelyStored: session.likelyStored(plan, header.groups), ticket: ticket,
            started: started)
    }

    private func header(
        _ ticket: SaveTicket, _ metrics: [String: Double], _ plan: CapturePlan
    ) -> Manifest {
        var header = Manifest(
            id: ticket.id, store: store.id, run: session.run, runName: session.options.runName, step: ticket.step,
            created: Clock.milliseconds, writer: Version.writer)
        session.state.withLock { state in
            header.parent = state.parent
            header.groups = plan.groups.map { Manifest.Group(name: $0, epoch: state.epoch(of: $0)) }
        }
        header.metrics = metrics.sorted { $0.key < $1.key }.map { Manifest.Metric(name: $0.key, value: $0.value) }
        return header
    }

    /// Refuses a save that cannot fit before it disturbs anybody.
    private func checkSpace(_ bytes: Int) throws(CheckpointError) {
        // Compressed sizes are known only once something has been saved.
        let (lastStored, lastNew) = session.state.withLock { ($0.lastStoredBytes, $0.lastNewBytes) }
        let stored = session.options.compression == .none ? bytes : lastStored ?? 0
        // What the last save found in the store, this one is likely to find.
        let needed = session.reuse == nil ? stored : min(stored, lastNew ?? stored)
        let root = store.directories.root
        let available = try translating("free space") { try store.fileSystem.availableBytes(at: root) }
        guard available >= needed - session.pool.bytes else {
            throw CheckpointError(
                .noSpace, "a save needs \(needed) bytes and \(root) has \(available)",
                remedy: "Free some space, or prune old checkpoints", path: root.string)
        }
    }

    // MARK: Mutating

    /// Waits until the state, or one group of it, may change, and returns the permit for it.
    ///
    /// What has not been captured yet is copied now, by this thread and the workers together. Never fails: if the save in flight does,
    /// the permit is granted all the same.
    /// - Parameter group: the group that will change; nil, or a name that no tensor is in, means all of them.
    public func permit(for group: String? = nil) -> MutationPermit {
        recordWait { pipeline.passFence(group, session.options.backpressure) { crew.setUrgent($0) } }
        session.state.withLock { $0.recordPermit(group) }
        check("a permit was asked for") { try $0.permit(group) }
        return MutationPermit { [self] in
            check("a permit ended") { checker in
                try checker.permitEnded(group)
                return []
            }
            session.state.withLock { $0.permits -= 1 }
        }
    }

    private func check(_ occasion: String, _ body: (MutationChecker) throws -> [String]) {
        guard let checker = session.checker else { return }
        do { report(try body(checker), occasion) } catch { session.warn("changes of the state are no longer found: \(error)") }
    }

    /// Adds the time of a wait to the stall.
    /// - Parameter wait: returns how much of it was for the disk.
    private func recordWait(_ wait: () -> Duration) {
        let began = ContinuousClock.now
        let backpressure = wait()
        let waited = ContinuousClock.now - began
        session.state.withLock { state in
            state.stall.backpressure += backpressure
            state.stall.fence += waited - backpressure
        }
    }

    /// Changes the state, or one group of it, inside `body`.
    public func mutate<R, E: Error>(_ group: String? = nil, _ body: () throws(E) -> R) throws(E) -> R {
        let permit = permit(for: group)
        let result = Result { () throws(E) -> R in try body() }
        permit.end()
        return try result.get()
    }

    // MARK: Restoring

    /// Restores the newest checkpoint that is whole, if there is any, and makes it the parent of this run.
    /// - Returns: nil if the store holds no checkpoint.
    /// - Throws: codes `mismatch`, `io`, `damaged` (no checkpoint is whole).
    @discardableResult
    public func resume() throws(CheckpointError) -> RestoreReport? {
        if try store.files.names().isEmpty { return nil }
        return try restore(.latest)
    }

    /// Restores a checkpoint into the state, and makes it the parent of this run.
    @discardableResult
    public func restore(_ reference: CheckpointReference) throws(CheckpointError) -> RestoreReport {
        pipeline.waitUntilIdle()
        let report = try mutate { () throws(CheckpointError) in
            try store.restore(reference, into: provider, threads: session.options.workers)
        }
        for skipped in report.skipped { session.warn("not resumed from: \(skipped)") }
        session.state.withLock {
            $0.parent = Manifest.Parent(id: report.id, run: report.run, step: report.step)
        }
        return report
    }

    // MARK: Ending

    /// Waits for the saves in flight, and lets go of everything.
    private func stop() {
        pipeline.close()
        crew.join()
        session.endProtection()
        session.endReuse()
        session.endStatus()
        session.devices.release()
        session.pool.shrink(to: 0)
        session.claim.end()
    }

    /// Time that the trainer has been held up so far.
    public var stall: StallReport {
        var stall = session.state.withLock { $0.stall }
        stall.arenaHighWaterBytes = pipeline.arenaHighWaterBytes
        return stall
    }

    /// Waits for the saves in flight, and stops.
    /// - Throws: the failure of the last save, if it failed: no later ticket has told of it.
    public func close() throws(CheckpointError) {
        let wasClosed = session.state.withLock { state in
            defer { state.isClosed = true }
            return state.isClosed
        }
        guard !wasClosed else { return }
        stop()
        writeTrace()
        session.events.finish()
        if let failure = session.state.withLock({ $0.unreportedFailure }) { throw failure }
    }
}
