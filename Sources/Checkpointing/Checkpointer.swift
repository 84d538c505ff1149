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
    let provider: any StateProvider
    let state = Monitor(RunState(), rank: .trainer)
    let account = StallAccount()
    let history: Monitor<SaveHistory>
    let preparation: SavePreparation
    let completion: SaveCompletion
    let pipeline: SavePipeline
    let protection: any StateProtection
    let crew: ThreadCrew
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
        history = Monitor(SaveHistory(workers: options.workers), rank: .history)
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
