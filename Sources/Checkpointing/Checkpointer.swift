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
    /// The store that checkpoints are saved to.
    public let store: CheckpointStore
    /// The run that this checkpointer's saves belong to.
    public let run: RunID
    let options: CheckpointerOptions
    let observers: SaveObservers
    let trace: TraceRecorder?
    /// The trace track of the trainer's thread.
    let trainer: TraceTrack
    /// The store's chunks; nil if every chunk is written.
    let reuse: BlockReuse?
    private let provider: any StateProvider
    private let state = Monitor(RunState())
    private let account = StallAccount()
    private let history: Monitor<SaveHistory>
    private let preparation: SavePreparation
    private let completion: SaveCompletion
    private let pipeline: SavePipeline
    private let protection: any StateProtection
    private let crew: ThreadCrew
    /// Reads what earlier checkpoints hold, for deduplication.
    private let historyThread: WorkerThread?

    /// Begins a run: allocates the arena, starts the workers, and describes the state once, so that
    /// mistakes in it show before training and the first save is as quick as the others.
    ///
    /// - Parameters:
    ///   - store: open for writing.
    ///   - provider: the state to save and restore.
    ///   - options: how to save.
    /// - Throws: codes `misuse`, `busy` (another checkpointer saves to this store), `unsupported`
    ///   (the kernel or the process's privileges do not allow the capture mode), `provider`,
    ///   `outOfMemory`, `io`.
    public init(
        store: CheckpointStore, state provider: any StateProvider,
        options: CheckpointerOptions = .init()
    ) throws(CheckpointError) {
        try options.check()
        guard store.access == .writing else {
            throw CheckpointError(
                .misuse, "the store is open for reading only",
                remedy: "Open it with access .writing")
        }
        let names = try store.files.names()
        let claim = try store.claimForCheckpointer()
        try MemoryPreflight.check(options)
        self.store = store
        self.provider = provider
        self.options = options
        run = RunID.next(clockMilliseconds: UInt64(Clock.milliseconds), after: names.last?.run)
        trace = options.tracePath.map { _ in TraceRecorder(spansMax: options.traceEventsMax) }
        trainer = trace?.trainer ?? .none
        observers = SaveObservers(options, store: store, run: run, stall: account)
        reuse = options.deduplicates ? BlockReuse(files: store.files) : nil
        history = Monitor(SaveHistory(workers: options.workers))
        let pool = SegmentPool(fileSystem: store.fileSystem, directories: store.directories)
        let checker = try translating("watching the state") {
            options.capture == .checked ? try MutationChecker() : nil
        }
        completion = SaveCompletion(
            store, claim, observers: observers, history: history,
            retention: RunRetention(store, run: run, options, pool: pool, reuse: reuse),
            reuse: reuse, checker: checker)
        pipeline = try Self.pipeline(options, trainer, completion)
        protection = try Self.protection(options, checker, pipeline, account)
        preparation = SavePreparation(
            store: store, provider: provider, options: options, run: run, pool: pool, reuse: reuse,
            guarding: protection.guarding, state: state, history: history,
            plans: CapturePlanCache(options))
        do {
            crew = try ThreadCrew(pipeline, niceness: options.workerNiceness)
        } catch {
            protection.close()
            throw CheckpointError(any: error, during: "starting")
        }
        historyThread = Self.readHistory(names, reuse, observers)
        do throws(CheckpointError) { try rehearse() } catch {
            stop()
            throw error
        }
    }

    /// A checkpointer dropped without `close` lets the saves in flight finish, as long as the process
    /// lives. Guarded state is waited for: no other thread could let its writes through.
    deinit { if protection.guarding == nil { pipeline.close() } else { stop() } }

    private static func pipeline(
        _ options: CheckpointerOptions, _ trainer: TraceTrack, _ lifecycle: any SaveLifecycle
    ) throws(CheckpointError) -> SavePipeline {
        var configuration = SavePipeline.Configuration(
            options, encodes: options.compression != .none)
        configuration.trainer = trainer
        // Workers encode, and so does the thread for objects.
        options.compression.codec.prepareToEncode(
            threads: options.workers + 1, rawBytes: options.chunkBytes)
        return try translating("starting") {
            try SavePipeline(configuration, lifecycle: lifecycle)
        }
    }

    private static func protection(
        _ options: CheckpointerOptions, _ checker: MutationChecker?, _ pipeline: SavePipeline,
        _ account: StallAccount
    ) throws(CheckpointError) -> any StateProtection {
        if let checker { return checker }
        guard options.capture == .guarded else { return FencedCapture() }
        return try translating("watching the state") {
            try GuardedCapture(pipeline, beforeRelease: options.beforeRelease) {
                account.add(wait: $0, backpressure: $1)
            }
        }
    }

    /// Reads the newest checkpoints now, and the others in the background.
    private static func readHistory(
        _ names: [ManifestName], _ reuse: BlockReuse?, _ observers: SaveObservers
    ) -> WorkerThread? {
        guard let reuse else { return nil }
        reuse.readHistory(names.suffix(2))
        do {
            return try WorkerThread(name: "ckpt-history") {
                reuse.readHistory(names.dropLast(2))
                reuse.finishHistory()
            }
        } catch {
            // Without the thread, less is reused.
            reuse.finishHistory()
            observers.warn(
                "earlier checkpoints are not looked through for what need not be written again: "
                    + "\(error)")
            return nil
        }
    }

    // MARK: Saving

    /// Asks for a checkpoint of the state as it is now, and returns at once.
    ///
    /// Step, metrics and object values are taken now; tensors are captured in the background until
    /// the next permit. Failures are reported by the ticket, an event, and the next ticket or
    /// `close`; they are never thrown here.
    ///
    /// - Parameters:
    ///   - step: number of updates made so far; unique in the run.
    ///   - metrics: values by which a person may want to choose checkpoints.
    /// - Returns: the ticket by which the save can be followed.
    /// - Throws: code `misuse` alone: a permit is held, the step is negative, or the checkpointer is
    ///   closed.
    @discardableResult
    public func save(
        step: Int, metrics: [String: Double] = [:]
    ) throws(CheckpointError) -> SaveTicket {
        let called = ContinuousClock.now
        try checkUse(step: step)
        history.withLock { $0.called(at: called) }
        let span = trainer.begin()
        defer { trainer.end("save", since: span, step: step) }
        let ticket = SaveTicket(step: step, earlierFailure: observers.failure.take()) {
            [pipeline] in pipeline.cancel($0)
        }
        do throws(CheckpointError) {
            try pipeline.admit(step: step, options.backpressure)
            // Pages can be protected for one save at a time.
            if protection.guarding != nil {
                _ = pipeline.passFence(nil, .block) { crew.setUrgent($0) }
            }
            let started = ContinuousClock.now
            let task = try preparation.prepare(ticket, metrics, started: started)
            task.timing.withLock { $0.stall.begin(submitted: started, called: called) }
            observers.notify(.started(task))
            try begin(task)
            task.timing.withLock { $0.stall.end(at: .now) }
            account.add(submit: .now - started, backpressure: started - called)
        } catch {
            observers.notify(.failed(ticket, error))
        }
        return ticket
    }

    private func checkUse(step: Int) throws(CheckpointError) {
        guard step >= 0 else { throw CheckpointError(.misuse, "step \(step) is negative") }
        let (permits, isClosed) = state.withLock { ($0.epochs.held, $0.isClosed) }
        guard !isClosed else { throw CheckpointError(.misuse, "the checkpointer is closed") }
        guard permits == 0 else {
            throw CheckpointError(
                .misuse, "save of step \(step) while a mutation permit is held",
                remedy: "End the permit before saving: the state must not change while it is captured"
            )
        }
    }

    /// Prepares a save and drops it: finds mistakes in the state, and makes everything that the
    /// first save would otherwise make.
    private func rehearse() throws(CheckpointError) {
        do {
            let ticket = SaveTicket(step: 0, earlierFailure: nil) { _ in }
            _ = try preparation.prepare(ticket, [:], started: .now)
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
            try pipeline.devices.prepare(
                for: task.inventory, pipeline, crew, warn: observers.warn)
        }
        let changed = try translating("protecting the state") { try protection.begin(task) }
        report(changed, "save of step \(task.ticket.step)")
        let flight = pipeline.begin(
            task, layout: SegmentLayout(segmentBytesMax: options.segmentBytes))
        protection.begun(flight: flight)
        if !mechanisms.isLazy { _ = pipeline.passFence(nil, .block) { _ in } }
    }

    /// Reports tensors that were changed without a permit, and fails the saves that may have
    /// captured them.
    private func report(_ names: [String], _ occasion: String) {
        guard let error = MutationChecker.violation(names, occasion) else { return }
        observers.warn("\(error)")
        pipeline.failAll(error)
    }

    // MARK: Mutating

    /// Waits until the state, or one group of it, may change, and returns the permit for it.
    ///
    /// Blocks that have not been captured yet are copied now, by this thread and the workers
    /// together. Never fails: if the save in flight does, the permit is granted all the same.
    ///
    /// - Parameter group: the group that will change; nil, or a name that no tensor is in, means
    ///   all of them.
    /// - Returns: the permit; it ends when it is dropped.
    public func permit(for group: String? = nil) -> MutationPermit {
        let began = ContinuousClock.now
        let backpressure = pipeline.passFence(group, options.backpressure) { crew.setUrgent($0) }
        account.add(wait: .now - began, backpressure: backpressure)
        state.withLock { $0.epochs.granted(group) }
        check("a permit was asked for") { try protection.permit(group) }
        return MutationPermit { [self] in
            check("a permit ended") {
                try protection.permitEnded(group)
                return []
            }
            state.withLock { $0.epochs.ended() }
        }
    }

    private func check(_ occasion: String, _ body: () throws -> [String]) {
        do { report(try body(), occasion) } catch {
            observers.warn("changes of the state are no longer found: \(error)")
        }
    }

    /// Changes the state, or one group of it, inside `body`, while a permit is held.
    ///
    /// - Parameters:
    ///   - group: the group that `body` changes; nil means everything.
    ///   - body: the update.
    /// - Returns: the result of `body`.
    /// - Throws: what `body` throws; the permit has ended then.
    public func mutate<R, E: Error>(
        _ group: String? = nil, _ body: () throws(E) -> R
    ) throws(E) -> R {
        let permit = permit(for: group)
        let result = Result { () throws(E) -> R in try body() }
        permit.end()
        return try result.get()
    }

    // MARK: Restoring

    /// Restores the newest checkpoint that is intact, if there is any, and makes it the parent of
    /// this run.
    ///
    /// - Returns: nil if the store holds no checkpoint.
    /// - Throws: codes `mismatch`, `io`, `damaged` (no checkpoint is intact).
    @discardableResult
    public func resume() throws(CheckpointError) -> RestoreReport? {
        if try store.files.names().isEmpty { return nil }
        return try restore(.latest)
    }

    /// Restores a checkpoint into the state, and makes it the parent of this run.
    ///
    /// Waits for saves in flight first.
    ///
    /// - Parameter reference: the checkpoint; `latest` skips damaged ones.
    /// - Returns: the checkpoint restored, and those that were skipped.
    /// - Throws: codes `notFound`, `damaged`, `mismatch`, `unsupported`, `io`, `provider`; the state
    ///   is partly overwritten then, and must not be used.
    @discardableResult
    public func restore(
        _ reference: CheckpointReference
    ) throws(CheckpointError) -> RestoreReport {
        pipeline.waitUntilIdle()
        let report = try mutate { () throws(CheckpointError) in
            try store.restore(reference, into: provider, threads: options.workers)
        }
        for skipped in report.skipped { observers.warn("not resumed from: \(skipped)") }
        state.withLock {
            $0.parent = Manifest.Parent(id: report.id, run: report.run, step: report.step)
        }
        return report
    }

    // MARK: Ending

    /// Waits for the saves in flight, and frees everything.
    private func stop() {
        pipeline.close()
        crew.join()
        protection.close()
        reuse?.close()
        historyThread?.join()
        observers.endStatus()
        pipeline.devices.release()
        preparation.pool.shrink(to: 0)
        completion.endClaim()
    }

    /// Time that the trainer has been held up so far.
    public var stall: StallReport {
        var stall = account.report
        stall.arenaHighWaterBytes = pipeline.arenaHighWaterBytes
        return stall
    }

    /// Waits for the saves in flight, and stops. A second call does nothing.
    ///
    /// - Throws: the failure of the last save, if it failed and no later ticket has reported it.
    public func close() throws(CheckpointError) {
        let wasClosed = state.withLock { state in
            defer { state.isClosed = true }
            return state.isClosed
        }
        guard !wasClosed else { return }
        stop()
        writeTrace()
        observers.streams.finish()
        if let failure = observers.failure.take() { throw failure }
    }
}
