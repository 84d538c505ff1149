internal import CheckpointStorage
internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointState

/// What a checkpointer remembers from one save to the next, and what is done when a save ends. Shared by the trainer's
/// thread and the workers.
final class SaveSession: Sendable {
    struct State {
        var parent: Manifest.Parent?
        var planned: PlannedState?
        /// Permits granted so far: for everything, and for single groups.
        var wholeEpoch: UInt32 = 0
        var groupEpochs: [String: UInt32] = [:]
        var permits = 0
        /// Groups in the order of their fences, before the last save and since.
        var fenceOrder: [String] = []
        var fencesSinceSave: [String] = []
        var stall = StallReport()
        var unreportedFailure: CheckpointError?
        var lastHashes: [Hash128] = []
        var lastStoredBytes: Int?
        var lastNewBytes: Int?
        var lastReusedBytes = 0
        var lastStoredChunks: (plan: CapturePlan, groups: [Manifest.Group], areStored: [Bool])?
        var lastSegmentCount = 0
        var levels: LevelChooser
        var isClosed = false

        init(workers: Int) { levels = LevelChooser(workers: workers) }

        /// Updates granted to a group so far, modulo 2^32.
        func epoch(of group: String) -> UInt32 { wholeEpoch &+ groupEpochs[group, default: 0] }

        mutating func recordPermit(_ group: String?) {
            permits += 1
            guard let group else { return wholeEpoch &+= 1 }
            groupEpochs[group, default: 0] &+= 1
            if !fencesSinceSave.contains(group) { fencesSinceSave.append(group) }
        }
    }

    let store: CheckpointStore
    let options: CheckpointerOptions
    let run: RunID
    private let began = ContinuousClock.now
    let state: Monitor<State>
    let devices = DeviceKeeper()
    /// Segments of expired checkpoints, to be written over.
    let pool: SegmentPool
    /// What the store holds already; nil if everything is stored anew.
    let reuse: BlockReuse?
    private let history = Monitor<WorkerThread?>(nil)
    let trace: TraceRecorder?
    /// Where the trainer's thread records what it does.
    let trainer: TraceLane
    let events = EventPublisher()
    private let journal: SaveJournal
    private let metrics: SaveMetrics
    /// Set once, when the pipeline exists.
    private let protections = Monitor<(guarded: GuardedCapture?, checker: MutationChecker?)>((nil, nil))
    private let expiry: Expiry
    private let expiring = Monitor(())
    /// What other processes are told; nil where nobody else can look.
    private let status: StatusFile?

    let claim: CheckpointerClaim

    init(store: CheckpointStore, options: CheckpointerOptions, run: RunID, claim: CheckpointerClaim) {
        self.claim = claim
        state = Monitor(State(workers: options.workers))
        pool = SegmentPool(fileSystem: store.fileSystem, directories: store.directories)
        reuse = options.deduplicates ? BlockReuse(files: store.files) : nil
        expiry = Expiry(files: store.files, catalog: store.catalog)
        trace = options.tracePath.map { _ in TraceRecorder(spansMax: options.traceEventsMax) }
        trainer = trace?.trainer ?? .none
        journal = SaveJournal(logger: options.logger)
        metrics = SaveMetrics(options.metrics)
        status = store.catalog.isEnabled ? StatusFile(store.directories, run: run) : nil
        self.store = store
        self.options = options
        self.run = run
    }

    private func emit(_ event: CheckpointEvent) {
        options.onEvent?(event)
        events.publish(event)
        status?.observe(event) { state.withLock { $0.stall } }
    }

    var outcome: SavePipeline.Outcome {
        SavePipeline.Outcome(
            captured: { self.captured($0) }, written: { self.written($0, $1) }, distrust: { self.distrust($0) },
            commit: { try self.commit($0) },
            failed: {
                $0.holds?.end()
                self.failed($0.ticket, $1)
            }, ended: { self.expire() })
    }

    func started(_ operation: SaveOperation) {
        journal.started(operation)
        metrics.started(operation.ticket.id)
        emit(.started(step: operation.ticket.step, id: operation.ticket.id))
    }

    private func captured(_ operation: SaveOperation) {
        operation.results.withLock { $0.timeToCaptured = operation.age }
        operation.ticket.advance(to: .captured)
        journal.captured(operation)
        emit(.captured(step: operation.header.step))
    }

    private func written(_ operation: SaveOperation, _ bytes: Int) {
        emit(.progress(step: operation.header.step, writtenBytes: bytes, totalBytes: operation.plan.totalBytes))
    }

    private func commit(_ operation: SaveOperation) throws {
        // A state without tensors has nothing that a worker could have captured last.
        if operation.plan.blocks.isEmpty { captured(operation) }
        let commit = CommitProtocol(
            fileSystem: store.fileSystem, directories: store.directories, catalog: store.catalog)
        let manifest: Manifest
        let hash: Hash128
        do throws(CheckpointError) {
            (manifest, hash) = try commit.commit(operation.writer, manifest: operation.manifest) {
                operation.results.withLock { $0.timeToDurable = operation.age }
                operation.ticket.advance(to: .durable)
                journal.durable(operation)
                emit(.durable(step: operation.header.step))
            }
        } catch {
            expiry.committedOrNot()
            throw error
        }
        expiry.committed(manifest)
        reuse?.add(Manifest.Tables(manifest, hash: hash), name: manifest.name, isNewest: true)
        operation.holds?.end()
        let report = remember(manifest, operation)
        if report.isUnchanged {
            warn("step \(report.step) has the same tensors as the checkpoint before it: is the training state what is saved?")
        }
        journal.committed(report)
        metrics.committed(report)
        operation.ticket.commit(report)
        emit(.committed(report))
    }

    /// The encoder of a save of `bytes`, and why it is this one if the engine chose it.
    func encoder(bytes: Int) -> (BlockEncoder, reason: String?) {
        guard options.compression == .auto else { return (BlockEncoder(options.compression), nil) }
        let choice = state.withLock { $0.levels.choose(bytes: max(bytes - $0.lastReusedBytes, 0)) }
        return (BlockEncoder(choice.level), choice.reason)
    }

    /// A save is asked for.
    func called(at now: ContinuousClock.Instant) { state.withLock { $0.levels.called(at: (now - began) / .seconds(1)) } }

    // MARK: Reuse

    /// Chunks of a plan that its last save found in the store, or that were not allowed to change since; empty if nothing is known.
    func likelyStored(_ plan: CapturePlan, _ groups: [Manifest.Group]) -> [Bool] {
        state.withLock { state in
            guard let last = state.lastStoredChunks, last.plan.isSame(as: plan) else { return [] }
            let isUntouched = zip(groups, last.groups).map { $0.epoch == $1.epoch }
            return zip(plan.chunks, last.areStored).map { chunk, isStored in isStored || isUntouched[plan.groupOfTensor[chunk.tensor]] }
        }
    }

    /// Reads what the store holds: of the newest checkpoints at once, of the others in the background.
    func readHistory() throws(CheckpointError) {
        guard let reuse else { return }
        let names = try store.files.names()
        reuse.readHistory(names.suffix(2))
        do {
            let thread = try WorkerThread(name: "ckpt-history") {
                reuse.readHistory(names.dropLast(2))
                reuse.finishHistory()
            }
            history.withLock { $0 = thread }
        } catch {
            // Without it, less is reused.
            reuse.finishHistory()
            warn("earlier checkpoints are not looked through for what need not be written again: \(error)")
        }
    }

    func endStatus() { status?.close() }

    func endReuse() {
        reuse?.close()
        history.withLock { $0 }?.join()
    }

    // MARK: Protection

    var guarded: GuardedCapture? { protections.withLock { $0.guarded } }
    var checker: MutationChecker? { protections.withLock { $0.checker } }

    /// Makes what the capture mode needs.
    /// - Throws: code `unsupported`, if the kernel or the process's privileges do not allow it.
    func setUpProtection(_ pipeline: SavePipeline) throws(CheckpointError) {
        try translating("watching the state") {
            switch options.capture {
            case .fenced: return
            case .checked:
                let checker = try MutationChecker()
                protections.withLock { $0.checker = checker }
            case .guarded:
                let state = state
                let guarded = try GuardedCapture(pipeline, beforeRelease: options.beforeRelease) { time, backpressure in
                    state.withLock { state in
                        state.stall.backpressure += backpressure
                        state.stall.fence += time - backpressure
                    }
                }
                protections.withLock { $0.guarded = guarded }
            }
        }
    }

    /// The error, naming the tensors, if any was changed without a permit.
    private func distrust(_ operation: SaveOperation) -> CheckpointError? {
        guard let checker else { return nil }
        do throws(CheckpointError) {
            let names = try translating("looking for changes") { try checker.changed() }
            let error = Self.violation(names, "step \(operation.ticket.step) was captured")
            if let error { warn("\(error)") }
            return error
        } catch { return error }
    }

    /// Ends what `setUpProtection` began; nothing may be in flight. (What guards the state knows the pipeline, which knows this session.)
    func endProtection() {
        guarded?.close()
        protections.withLock { $0 = (nil, nil) }
    }

    static func violation(_ names: [String], _ occasion: String) -> CheckpointError? {
        guard !names.isEmpty else { return nil }
        return CheckpointError(
            .misuse, "tensors were changed without a permit before \(occasion)",
            remedy: "Change them inside mutate, or while holding permit()", names: names)
    }

    /// Removes what the run no longer keeps. A failure stops nothing: the next save tries again.
    private func expire() {
        guard let keepLast = options.keepLast else { return }
        do throws(CheckpointError) {
            try expiring.withLock { _ throws(CheckpointError) in try expire(keeping: keepLast) }
        } catch {
            warn("old checkpoints were not removed: \(error)")
        }
    }

    private func expire(keeping keepLast: Int) throws(CheckpointError) {
        var expired = Retention.expired(try store.files.names(), of: run, keepLast: keepLast)
        guard !expired.isEmpty else { return }
        let protected = try MarkFiles(store.files).protected()
        expired.removeAll(where: protected.contains)
        // What a save in flight reuses stays until a later save ends.
        if let reuse { expired = reuse.retire(expired) }
        guard options.mechanisms.recycles else { return try expiry.remove(expired, discard: nil) }
        try expiry.remove(expired) { segment throws(FileSystemError) in
            try self.pool.add(segment.name, bytes: segment.fileBytes)
        }
        pool.shrink(to: state.withLock { $0.lastSegmentCount })
    }

    private func remember(_ manifest: Manifest, _ operation: SaveOperation) -> SaveReport {
        state.withLock { state in
            let hashes = manifest.chunks.prefix(operation.plan.chunks.count).map(\.hash)
            let isUnchanged = !hashes.isEmpty && hashes == state.lastHashes
            state.lastHashes = hashes
            state.lastStoredBytes = manifest.storedBytes
            state.lastSegmentCount = manifest.segments.filter { $0.name.attempt == manifest.id }.count
            let report = operation.report(manifest, isUnchanged: isUnchanged)
            state.lastNewBytes = report.newBytes
            state.lastReusedBytes = report.reusedBytes + report.derivedBytes
            state.levels.observe(operation.observation)
            state.lastStoredChunks = reuse == nil ? nil : (operation.plan, operation.header.groups, operation.storedChunks)
            return report
        }
    }

    /// Tells of a failure everywhere but in training. A save skipped by policy is no failure of the engine, and is not told again.
    func failed(_ ticket: SaveTicket, _ error: CheckpointError) {
        if error.code != .skipped { state.withLock { $0.unreportedFailure = error } }
        journal.failed(ticket, error)
        metrics.failed(ticket.id, error)
        ticket.fail(error)
        emit(.failed(step: ticket.step, error))
    }

    /// The failure that no ticket has told of yet; it is told once.
    func takeFailure() -> CheckpointError? {
        state.withLock { state in
            defer { state.unreportedFailure = nil }
            return state.unreportedFailure
        }
    }

    func recordSubmission(_ operation: SaveOperation, called: ContinuousClock.Instant, started: ContinuousClock.Instant) {
        operation.results.withLock { $0.stall.end(at: .now) }
        state.withLock { state in
            state.stall.submit += .now - started
            state.stall.backpressure += started - called
        }
    }

    func warn(_ message: String) {
        journal.warning(message)
        emit(.warning(message))
    }

    /// The plan of the last save, if the state still has the same layout; a new layout has its names checked.
    func plan(for inventory: StateInventory) throws -> PlannedState {
        try state.withLock { state in
            if !state.fencesSinceSave.isEmpty { state.fenceOrder = state.fencesSinceSave }
            state.fencesSinceSave = []
            let key = PlanKey(inventory, state.fenceOrder)
            if let planned = state.planned, planned.key == key { return planned }
            try inventory.checkNames()
            let casts = CastSources(options.dropsCasts ? inventory.tensors : [])
            let tensors = inventory.tensors.enumerated().map { index, tensor in
                CapturePlan.Tensor(
                    group: tensor.group, bytes: tensor.view.byteCount, lane: tensor.view.memory.lane, isHalf: !casts[index].isEmpty)
            }
            let plan = CapturePlan(
                tensors: tensors, chunkBytes: options.chunkBytes, packs: options.mechanisms.coalesces, groupOrder: state.fenceOrder)
            let planned = PlannedState(key: key, plan: plan, castSources: casts, inventory)
            state.planned = planned
            return planned
        }
    }
}

/// What a capture plan depends on.
struct PlanKey: Equatable {
    private struct Tensor: Equatable {
        var name: String
        var group: String
        var type: ElementType
        var shape: [Int]
        var device: ObjectIdentifier?

        /// Names are compared as bytes, as everywhere.
        static func == (a: Tensor, b: Tensor) -> Bool {
            a.name.utf8.elementsEqual(b.name.utf8) && a.group == b.group && a.type == b.type && a.shape == b.shape
                && a.device == b.device
        }
    }

    private let tensors: [Tensor]
    private let objects: [[UInt8]]
    private let groupOrder: [String]

    init(_ inventory: StateInventory, _ groupOrder: [String]) {
        tensors = inventory.tensors.map {
            Tensor(
                name: $0.name, group: $0.group, type: $0.view.type, shape: $0.view.shape,
                device: $0.view.memory.device.map { ObjectIdentifier($0) })
        }
        objects = inventory.objects.map { Array($0.name.utf8) }
        self.groupOrder = groupOrder
    }
}

extension TensorRecord {
    /// The tensor directory of a checkpoint whose one rank holds everything.
    static func directory(_ tensors: [TensorItem], _ plan: CapturePlan) -> [TensorRecord] {
        tensors.enumerated().map { index, item in
            let shard = ShardRecord(
                descriptor: ShardDescriptor(whole: item.view.shape), chunks: plan.chunksOfTensor[index])
            return TensorRecord(
                name: item.name, type: item.view.type, shape: item.view.shape, role: item.role,
                group: plan.groupOfTensor[index], shards: [shard])
        }
    }
}
