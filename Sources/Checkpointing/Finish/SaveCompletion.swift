internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage

/// The completion of saves: commits what the pipeline has written, and reports the result.
///
/// Called with no lock held, on the pipeline's threads; `continues`, `removeExpired` and `endClaim`
/// also on the trainer's. The pipeline owns it, so it lives until the last save in flight has
/// ended, and so do the objects that it owns: the store's claim among them.
final class SaveCompletion: Sendable {
    private let store: CheckpointStore
    private let observers: SaveObservers
    private let history: SaveHistory
    /// Nil if every checkpoint is kept.
    private let retention: RunRetention?
    private let reuse: BlockReuse?
    private let mirror: (any MirrorFollowing)?
    /// Returns the names of tensors that were changed without a permit; nil unless capture is checked.
    private let findChanged: (@Sendable () throws -> [String])?
    private let claim: CheckpointerClaim
    /// True once a step of the optimizer that is not the save's has been reported.
    private let hasReportedStep = Monitor(false)
    /// The last reason why old checkpoints were not deleted.
    private let lastRemovalError = Monitor("")

    init(
        _ store: CheckpointStore, _ claim: CheckpointerClaim, observers: SaveObservers,
        history: SaveHistory, retention: RunRetention?, reuse: BlockReuse?,
        mirror: (any MirrorFollowing)?, findChanged: (@Sendable () throws -> [String])?
    ) {
        self.store = store
        self.claim = claim
        self.observers = observers
        self.history = history
        self.retention = retention
        self.reuse = reuse
        self.mirror = mirror
        self.findChanged = findChanged
    }

    /// The run continues from a restored checkpoint.
    ///
    /// - Parameter items: the checkpoints of the branch that continues; empty if a new one begins.
    func continues(_ items: [RetentionItem]) { retention?.continues(items) }

    /// Every byte is out of the trainer's memory.
    func captured(_ task: SaveTask) { observers.notify(.captured(task)) }

    /// `bytes` bytes of the state are written, or need not be.
    func written(_ task: SaveTask, bytes: Int) {
        observers.notify(.progress(task, writtenBytes: bytes))
    }

    /// Returns the error if no save in flight can be trusted. Asked before each commit.
    func violation(before task: SaveTask) -> CheckpointError? {
        guard let findChanged else { return nil }
        do throws(CheckpointError) {
            let names = try translating("looking for changes") { try findChanged() }
            let error = CheckpointError.violation(
                names, before: "step \(task.ticket.step) was captured")
            if let error { observers.warn("\(error)") }
            return error
        } catch { return error }
    }

    /// Publishes the save: W2 to W10, or with several ranks W2 to W5 and N2 to N8.
    ///
    /// - Throws: as `CommitProtocol` and `RankCommit`.
    func commit(
        _ task: SaveTask, _ progress: SaveProgress
    ) throws(CheckpointError) -> SaveReport {
        let sealed = try CommitProtocol.seal(task.writer)
        task.timing.withLock { $0.toDurable = task.age }
        observers.notify(.durable(task))
        var builder = ManifestBuilder(task, progress, sealed.references)
        let manifest = builder.manifest()
        do throws(CheckpointError) {
            if let ranks = task.output.commit {
                try publish(part: manifest, of: sealed, ranks)
            } else {
                try publish(manifest, of: sealed)
            }
        } catch {
            // The manifest may exist all the same, or another rank may commit it later.
            retention?.invalidateCounts()
            throw error
        }
        task.reuse?.end()
        return history.remember(manifest, task, progress)
    }

    private func publish(
        _ manifest: Manifest, of sealed: SealedSegments
    ) throws(CheckpointError) {
        let hash = try CommitProtocol(
            fileSystem: store.fileSystem, directories: store.directories, catalog: store.catalog
        ).publish(manifest, of: sealed)
        retention?.committed(manifest)
        reuse?.add(Manifest.Tables(manifest, hash: hash), name: manifest.name, isNewest: true)
    }

    /// Publishes the part of this rank, and the checkpoint together with the other ranks.
    private func publish(
        part: Manifest, of sealed: SealedSegments, _ ranks: RankCommit
    ) throws(CheckpointError) {
        // A state without blocks has not begun.
        try ranks.beginOnce()
        // From here on others may commit what this rank has saved: its segments stay.
        try ranks.publish(part: part, of: sealed)
        _ = try ranks.finish()
        // Rank 0 is the store's writer, for all of them.
        guard ranks.ranks.rank == 0, retention != nil || store.catalog.isWritable else { return }
        do throws(CheckpointError) {
            let whole = try store.files.load(part.name)
            store.catalog.add(whole)
            retention?.committed(whole.manifest)
        } catch {
            retention?.invalidateCounts()
            observers.warn("the catalog and retention lack step \(part.step): \(error)")
        }
    }

    /// The save is committed, and the next may begin.
    func committed(_ task: SaveTask, _ report: SaveReport, _ progress: SaveProgress) {
        if report.isUnchanged {
            observers.warn(
                "step \(report.step) has the same tensors as the checkpoint before it: "
                    + "is the training state what is saved?")
        }
        adviseOnStep(task, progress.objects)
        observers.notify(.committed(task.ticket, report))
        mirror?.changed()
    }

    /// Reports once that the step of the optimizer is not that of the save.
    private func adviseOnStep(_ task: SaveTask, _ objects: StoredObjects) {
        guard let (name, step) = objects.optimizerSteps.first(where: { $0.step != task.ticket.step }),
            hasReportedStep.withLock({ isReported in
                defer { isReported = true }
                return !isReported
            })
        else { return }
        observers.warn(
            "save(step: \(task.ticket.step)) does not match \(name), which is \(step): "
                + "a resumed run would repeat or skip updates. "
                + "Pass the number of completed updates")
    }

    /// The save has failed, nothing of it is in use any more, and the next may begin.
    func failed(_ task: SaveTask, _ error: CheckpointError) {
        task.reuse?.end()
        task.output.commit?.fail(error)
        // The check of the free space before a save does not know compressed sizes. An earlier
        // process may have kept more than this one does: without that, the next save fits.
        if error.code == .noSpace { removeExpired() }
        observers.notify(.failed(task.ticket, error))
    }

    /// Deletes the checkpoints that the run no longer keeps: after a save has ended, or to make
    /// room.
    func removeExpired() {
        do throws(CheckpointError) {
            try retention?.removeExpired(segmentCount: history.segmentCount)
        } catch {
            // The same after every save, until somebody looks at it.
            let text = "old checkpoints were not deleted: \(error)"
            let isNew = lastRemovalError.withLock { last in
                defer { last = text }
                return last != text
            }
            if isNew { observers.warn(text) }
        }
    }

    /// Lets another checkpointer of this process save to the store.
    func endClaim() { claim.end() }
}
