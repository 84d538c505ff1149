internal import CheckpointCatalog
internal import CheckpointFormat
public import CheckpointState
internal import Foundation

extension CheckpointStore {
    /// Restores a checkpoint into the memory that `provider` lends, checking every byte against the
    /// hash taken at capture.
    ///
    /// `latest` skips damaged checkpoints, and reports them. Objects are restored after all
    /// tensors. For a tensor that is declared as a shard, only the blocks that contain a part of
    /// the shard are read, whatever the layout of the checkpoint. The call returns when everything
    /// is restored. A state that does not fit the checkpoint is not changed; after any other error,
    /// the state is partly overwritten and must not be used.
    ///
    /// - Parameters:
    ///   - reference: the checkpoint.
    ///   - provider: describes the state, lends its memory and takes the objects.
    ///   - matching: restores only tensors and objects whose name matches; nil means all.
    ///   - mode: whether state and checkpoint must have the same names.
    ///   - threads: number of reading threads, at least 1.
    ///   - progress: called with the tensor bytes restored since the last call, on the reading
    ///     threads.
    /// - Returns: the checkpoint restored from, with counts, and the damaged checkpoints that were
    ///   skipped.
    /// - Throws: codes `notFound`, `damaged`, `mismatch` (names that only one side has, other types
    ///   or shapes: all of them), `misuse`, `unsupported`, `io`, `provider`, `device`,
    ///   `outOfMemory`.
    @discardableResult
    public func restore(
        _ reference: CheckpointReference, into provider: any StateProvider,
        matching: NamePattern? = nil,
        mode: RestoreMode = .strict, threads: Int = 2,
        progress: @escaping @Sendable (Int) -> Void = { _ in }
    ) throws(CheckpointError) -> RestoreReport {
        let target = try RestoreTarget(provider, matching, mode, threads, progress)
        var (report, skipped) = try withManifest(reference, target.selection) {
            manifest throws(CheckpointError) in
            try restore(manifest, into: target)
        }
        report.skipped = skipped
        return report
    }

    /// Restores the newest intact checkpoint of a run's line.
    ///
    /// - Parameters:
    ///   - run: the run's name.
    ///   - provider: describes the state, lends its memory and takes the objects.
    ///   - mode: whether state and checkpoint must have the same names.
    ///   - threads: number of reading threads, at least 1.
    /// - Returns: the report; nil if training in this store saved none in the run.
    /// - Throws: as `restore`.
    package func restoreNewest(
        ofRun run: String, into provider: any StateProvider, mode: RestoreMode, threads: Int
    ) throws(CheckpointError) -> RestoreReport? {
        let target = try RestoreTarget(provider, nil, mode, threads) { _ in }
        var history = try runHistory()
        var line = history.line(of: run)
        guard !line.isEmpty else { return nil }
        var isFirst = true
        let (found, skipped) = try walkBack(true, target.selection) {
            manifest throws(CheckpointError) -> RestoreReport? in
            // The catalog, which may be wrong, has chosen the line.
            guard history.contains(RunMember(manifest), in: run) else { return nil }
            return try restore(manifest, into: target)
        } among: { () throws(CheckpointError) in
            if !isFirst {
                history = try runHistory()
                line = history.line(of: run)
            }
            isFirst = false
            return line
        }
        guard var report = found else {
            if skipped.isEmpty { return nil }
            throw try missing(.latestOfRun(run), skipped)
        }
        report.skipped = skipped
        report.continuedBranch = history.branch(of: run)
        report.passedOver = history.passedOver(
            newerThan: ManifestName(run: report.run, step: report.step),
            at: report.createdMilliseconds, in: run, line: line)
        return report
    }

    private func restore(_ manifest: Manifest, into target: RestoreTarget) throws(CheckpointError)
        -> RestoreReport
    {
        let match = RestoreMatch(target.inventory, manifest, target.pattern)
        if let mismatch = match.mismatch(target.mode, step: manifest.step) { throw mismatch }
        let plan = try RestorePlan(manifest, into: match.tensors)
        let operation = RestoreOperation(
            store: self, manifest: manifest, threads: target.threads, progress: target.progress)
        try translating("restore") { try match.tensors.orderCopiesAfterTrainer() }
        try operation.run(plan)
        for ((item, _), bytes) in zip(
            match.objects, try operation.objects(match.objects.map(\.record)))
        {
            try translating("object \(item.name)") { try item.restore(bytes) }
        }
        return RestoreReport(
            manifest, match, plan, defaultRunName: defaultRunName)
    }
}

/// The state that a restore fills, and how.
private struct RestoreTarget {
    let inventory: StateInventory
    let pattern: NamePattern?
    let mode: RestoreMode
    let threads: Int
    let progress: @Sendable (Int) -> Void

    /// What is needed of a checkpoint of several ranks.
    var selection: PartFiles.Selection {
        var selection = PartFiles.Selection()
        for item in inventory.tensors where pattern?.matches(item.name) ?? true {
            selection.tensors[Array(item.name.utf8)] =
                item.shard.map { .pieces($0.pieces) } ?? .whole
        }
        for item in inventory.objects where pattern?.matches(item.name) ?? true {
            selection.objects.insert(Array(item.name.utf8))
        }
        return selection
    }

    init(
        _ provider: any StateProvider, _ pattern: NamePattern?, _ mode: RestoreMode, _ threads: Int,
        _ progress: @escaping @Sendable (Int) -> Void
    ) throws(CheckpointError) {
        guard threads >= 1 else {
            throw CheckpointError(.misuse, "threads must be at least 1 (got \(threads))")
        }
        inventory = try translating("describing the state") { try StateInventory(of: provider) }
        (self.pattern, self.mode, self.threads, self.progress) = (pattern, mode, threads, progress)
    }
}
