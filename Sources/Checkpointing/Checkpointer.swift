internal import CheckpointCodecs
public import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
public import CheckpointState
internal import CheckpointStorage
internal import SystemPackage

/// Saves and restores the state of one training loop in one store.
///
/// The contract with the trainer: between updates the state does not change, and it changes only while a `MutationPermit` is
/// held. In between, `save` may be called; it returns immediately, and the state is copied out of
/// the trainer's memory while forward and backward run.
///
///     let checkpointer = try Checkpointer(store: store, state: state)
///     try checkpointer.resume()
///     while trainer.step < 10_000 {
///         let loss = trainer.forwardBackward()
///         checkpointer.mutate { trainer.update() }
///         trainer.step += 1
///         if trainer.step % 100 == 0 {
///             try checkpointer.save(step: trainer.step, metrics: ["loss": loss])
///         }
///     }
///     try checkpointer.close()
///
/// Call it from one thread, the trainer's.
public final class Checkpointer: Sendable {
    /// The store that checkpoints are saved to.
    public let store: CheckpointStore
    /// Id of the restart that saves belong to now: one life of a process of the run, or the part of
    /// it since an earlier checkpoint was restored. `runName` names the run.
    public var run: RunID { state.withLock { $0.restart } }
    /// Name of the run that the saves belong to.
    public let runName: String
    let options: CheckpointerOptions
    let observers: SaveObservers
    let trace: TraceRecorder?
    /// The trace track of the trainer's thread.
    let trainer: TraceTrack
    /// The store's chunks; nil if every chunk is written.
    let reuse: BlockReuse?
    private let trained: TrainerState
    var provider: any StateProvider { trained.provider }
    let state: Monitor<RunState>
    /// The time that all saves have blocked the trainer.
    let stalls = Monitor(StallReport())
    let history: SaveHistory
    let preparation: SavePreparation
    let completion: SaveCompletion
    /// Keeps the store's mirror up to date; nil without one, and on ranks after the first.
    let mirror: (any MirrorFollowing)?
    let pipeline: SavePipeline
    /// Nil in fenced mode: the trainer asks for permits, so nothing is protected or watched.
    let protection: (any StateProtection)?
    let crew: ThreadCrew
    /// Reads what earlier checkpoints hold, for deduplication.
    private let historyThread: WorkerThread?

    /// Begins a run: allocates the arena, starts the workers, and describes the state once, so that
    /// mistakes in it are found before training and the first save is as fast as the others.
    ///
    /// - Parameters:
    ///   - store: open for writing; if it was opened with ranks, each of them makes a checkpointer.
    ///   - provider: the state to save and restore.
    ///   - options: how to save.
    /// - Throws: codes `misuse`, `busy` (another checkpointer saves to this store), `unsupported`
    ///   (the kernel or the process's privileges do not allow the capture mode), `provider`,
    ///   `timedOut` (rank 0 is not there), `outOfMemory`, `io`.
    public init(
        store: CheckpointStore, state provider: any StateProvider,
        options: CheckpointerOptions = .init()
    ) throws(CheckpointError) {
        try options.check(ranks: store.meeting?.ranks)
        guard store.access == .writing else {
            throw CheckpointError(
                .misuse, "the store is open for reading only",
                remedy: "Open it with access .writing")
        }
        let names = try store.files.names()
        let claim = try store.claimForCheckpointer()
        let budget = try ArenaBudget(options, worldSize: store.meeting?.ranks.worldSize ?? 1)
        self.store = store
        trained = TrainerState(provider: provider)
        self.options = options
        let restart = try Self.restart(store, after: names)
        let runs = try store.runHistory()
        let (name, place, isUnresumed) = try Self.place(of: restart, options, store, runs)
        runName = name
        state = Monitor(RunState(place: place, isUnresumed: isUnresumed), rank: .trainer)
        trace = options.tracePath.map { _ in TraceRecorder(spansMax: options.traceEventsMax) }
        trainer = trace?.trainer ?? .none
        observers = SaveObservers(options, store: store, restart: place.branch, stall: stalls)
        reuse = options.deduplicates && store.meeting == nil ? BlockReuse(files: store.files) : nil
        history = SaveHistory(workers: options.workers)
        mirror = try Self.follow(store, observers)
        let retention = RunRetention(store, options, reuse: reuse, mirror: mirror)
        let checker = try translating("watching the state") {
            options.capture == .checked ? try MutationChecker() : nil
        }
        completion = SaveCompletion(
            store, claim, observers: observers, history: history,
            retention: retention, reuse: reuse, mirror: mirror,
            findChanged: checker.map { checker -> @Sendable () throws -> [String] in
                { try checker.changed() }
            })
        pipeline = try Self.pipeline(options, budget, trainer, completion)
        protection = try Self.protection(options, checker, pipeline, stalls)
        preparation = SavePreparation(
            store: store, trained: trained, options: options, runName: runName,
            pool: retention?.pool, reuse: reuse, guarding: protection?.guarding, state: state,
            history: history)
        do {
            crew = try ThreadCrew(pipeline, niceness: options.workerNiceness)
        } catch {
            protection?.close()
            throw CheckpointError(any: error, during: "starting")
        }
        historyThread = Self.readHistory(runs.reusable(by: options.kind), reuse, observers)
        do { try register() } catch {
            stop()
            throw CheckpointError(any: error, during: "starting")
        }
        do throws(CheckpointError) { try rehearse() } catch {
            stop()
            throw error
        }
    }

    /// A checkpointer dropped without `close` lets the saves in flight finish, as long as the process
    /// lives. Guarded state is waited for: no other thread could let its writes through.
    deinit {
        // Threads can be joined once.
        guard !state.withLock({ $0.isClosed }) else { return }
        if protection?.guarding == nil { pipeline.close() } else { stop() }
    }

    // MARK: Ending

    /// Waits for the saves in flight, and frees everything.
    private func stop() {
        state.withLock { $0.isClosed = true }
        pipeline.close()
        crew.join()
        OpenCheckpointers.shared.remove(pipeline)
        protection?.close()
        reuse?.close()
        historyThread?.join()
        mirror?.stop()
        observers.endStatus()
        pipeline.devices.release()
        preparation.pool?.shrink(to: 0)
        completion.endClaim()
    }

    /// Time that saves have blocked the trainer so far.
    public var stall: StallReport {
        var stall = stalls.withLock { $0 }
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
        finishMirror()
        stop()
        writeTrace()
        observers.streams.finish()
        if let failure = observers.failure.take() { throw failure }
    }
}
