internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage

/// The completion of saves: commits what the pipeline has written, and reports the result.
///
/// The pipeline owns it, so it lives until the last save in flight has ended, and so do the objects
/// that it owns: the store's claim among them.
final class SaveCompletion: SaveLifecycle {
    private let store: CheckpointStore
    private let observers: SaveObservers
    private let history: Monitor<SaveHistory>
    private let retention: RunRetention
    private let reuse: BlockReuse?
    /// Finds changes without a permit; nil unless capture is checked.
    private let checker: MutationChecker?
    private let claim: CheckpointerClaim

    init(
        _ store: CheckpointStore, _ claim: CheckpointerClaim, observers: SaveObservers,
        history: Monitor<SaveHistory>, retention: RunRetention, reuse: BlockReuse?,
        checker: MutationChecker?
    ) {
        self.store = store
        self.claim = claim
        self.observers = observers
        self.history = history
        self.retention = retention
        self.reuse = reuse
        self.checker = checker
    }

    /// The run continues from a restored checkpoint.
    ///
    /// - Parameter items: the checkpoints of the branch that continues; empty if a new one begins.
    func continues(_ items: [RetentionItem]) { retention.continues(items) }

    func captured(_ task: SaveTask) {
        task.timing.withLock { $0.toCaptured = task.age }
        observers.notify(.captured(task))
    }

    func written(_ task: SaveTask, bytes: Int) {
        observers.notify(.progress(task, writtenBytes: bytes))
    }

    func violation(before task: SaveTask) -> CheckpointError? {
        guard let checker else { return nil }
        do throws(CheckpointError) {
            let names = try translating("looking for changes") { try checker.changed() }
            let error = MutationChecker.violation(names, "step \(task.ticket.step) was captured")
            if let error { observers.warn("\(error)") }
            return error
        } catch { return error }
    }

    func commit(
        _ task: SaveTask, _ progress: SaveProgress
    ) throws(CheckpointError) -> SaveReport {
        // No worker has captured the last block of a state without tensors.
        if task.plan.blocks.isEmpty { captured(task) }
        if let commit = task.output.commit { return try self.commit(task, progress, commit) }
        let (manifest, hash) = try publish(task, progress)
        retention.committed(manifest)
        reuse?.add(Manifest.Tables(manifest, hash: hash), name: manifest.name, isNewest: true)
        task.reuse?.end()
        return history.withLock { $0.remember(manifest, task, progress) }
    }

    func committed(_ task: SaveTask, _ report: SaveReport) {
        if report.isUnchanged {
            observers.warn(
                "step \(report.step) has the same tensors as the checkpoint before it: "
                    + "is the training state what is saved?")
        }
        observers.notify(.committed(task.ticket, report))
    }

    private func publish(
        _ task: SaveTask, _ progress: SaveProgress
    ) throws(CheckpointError) -> (manifest: Manifest, hash: Hash128) {
        let commit = CommitProtocol(
            fileSystem: store.fileSystem, directories: store.directories, catalog: store.catalog)
        do throws(CheckpointError) {
            return try commit.commit(
                task.writer,
                manifest: { segments in
                    var builder = ManifestBuilder(task, progress, segments)
                    return builder.manifest()
                },
                durable: {
                    task.timing.withLock { $0.toDurable = task.age }
                    observers.notify(.durable(task))
                })
        } catch {
            retention.invalidateCounts()
            throw error
        }
    }

    /// Commits the part of this rank together with those of the others.
    private func commit(
        _ task: SaveTask, _ progress: SaveProgress, _ commit: RankCommit
    ) throws(CheckpointError) -> SaveReport {
        let segments: [SegmentReference]
        do { segments = try task.writer.seal() } catch {
            task.writer.abandon()
            throw CheckpointError(error)
        }
        task.timing.withLock { $0.toDurable = task.age }
        observers.notify(.durable(task))
        var builder = ManifestBuilder(task, progress, segments)
        let part = builder.manifest()
        // A state without blocks has not begun.
        try commit.beginOnce()
        // From here on others may commit what this rank has saved: its segments stay.
        try commit.publish(part: part)
        do throws(CheckpointError) { _ = try commit.finish() } catch {
            // Another rank may commit it later.
            retention.invalidateCounts()
            throw error
        }
        if commit.ranks.rank == 0 {
            do throws(CheckpointError) {
                try retention.committed { () throws(CheckpointError) in
                    try store.files.load(part.name).manifest
                }
            } catch { observers.warn("step \(part.step) does not count for retention: \(error)") }
        }
        return history.withLock { $0.remember(part, task, progress) }
    }

    func failed(_ task: SaveTask, _ error: CheckpointError) {
        task.reuse?.end()
        task.output.commit?.fail(error)
        observers.notify(.failed(task.ticket, error))
    }

    /// Removes what the run no longer keeps, if an earlier try has failed or is still going on.
    func makeRoom() { removeExpired() }

    func ended() { removeExpired() }

    private func removeExpired() {
        do throws(CheckpointError) {
            try retention.removeExpired(segmentCount: history.withLock { $0.segmentCount })
        } catch {
            observers.warn("old checkpoints were not deleted: \(error)")
        }
    }

    /// Lets another checkpointer of this process save to the store.
    func endClaim() { claim.end() }
}
