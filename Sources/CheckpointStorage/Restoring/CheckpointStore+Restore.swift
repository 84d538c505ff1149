internal import CheckpointCatalog
internal import CheckpointFormat
internal import CheckpointSegments
public import CheckpointState

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
    ///   - types: whether a tensor must have the same element type.
    ///   - threads: number of reading threads, at least 1.
    ///   - progress: called with the tensor bytes restored since the last call, on the reading
    ///     threads.
    /// - Returns: the checkpoint restored from, with counts, and the damaged checkpoints that were
    ///   skipped.
    /// - Throws: codes `notFound`, `damaged`, `mismatch` (names that only one side has, other types
    ///   or shapes: all of them), `misuse`, `unsupported` (also for a shard, or a conversion, of a
    ///   tensor whose chunks end inside elements), `io`, `provider`, `device`,
    ///   `outOfMemory`.
    @discardableResult
    public func restore(
        _ reference: CheckpointReference, into provider: any StateProvider,
        matching: NamePattern? = nil,
        mode: RestoreMode = .strict, types: RestoreTypes = .exact, threads: Int = 2,
        progress: @escaping @Sendable (Int) -> Void = { _ in }
    ) throws(CheckpointError) -> RestoreReport {
        let target = try RestoreTarget(provider, matching, mode, types, threads, progress)
        var (report, skipped) = try withManifest(reference, target.selection) {
            manifest throws(CheckpointError) in
            try PlannedRestore(manifest, into: target).run(in: self)
        }
        report.skipped = skipped
        return report
    }

    /// Restores a checkpoint on all ranks, each into its own state.
    ///
    /// - Parameters:
    ///   - reference: the checkpoint, as rank 0 understands it; `latest` is the newest that every
    ///     rank can restore.
    ///   - provider: describes the state, lends its memory and takes the objects.
    ///   - mode: whether state and checkpoint must have the same names.
    ///   - types: whether a tensor must have the same element type.
    ///   - threads: number of reading threads, at least 1.
    ///   - help: the mirror, if it is to be asked.
    /// - Returns: the report.
    /// - Throws: as `restore`, and code `cancelled` if another rank cannot restore it.
    func restoreTogether(
        _ reference: CheckpointReference, into provider: any StateProvider, mode: RestoreMode,
        types: RestoreTypes, threads: Int, _ help: MirrorHelp? = nil
    ) throws(CheckpointError) -> RestoreReport {
        let target = try RestoreTarget(provider, nil, mode, types, threads) { _ in }
        let (found, skipped) = try walkBackTogether(
            reference.walksBack, target.selection, help
        ) { manifest, _ throws(CheckpointError) in
            try PlannedRestore(manifest, into: target)
        } restore: { planned, store throws(CheckpointError) in
            var report = try planned.run(in: store)
            if store !== self { try report.come(from: store, at: help?.copy?.place ?? "") }
            return report
        } among: { store throws(CheckpointError) in
            try store.candidates(reference)
        }
        guard var report = found else { throw try missing(reference, skipped) }
        report.skipped = skipped
        return report
    }

    /// Restores the newest intact checkpoint of a run's line; of several ranks, the newest that
    /// every rank can restore.
    ///
    /// - Parameters:
    ///   - run: the run's name.
    ///   - provider: describes the state, lends its memory and takes the objects.
    ///   - mode: whether state and checkpoint must have the same names.
    ///   - types: whether a tensor must have the same element type.
    ///   - threads: number of reading threads, at least 1.
    ///   - help: of several ranks, the mirror, if it is to be asked.
    /// - Returns: the report; nil if training in this store saved none in the run.
    /// - Throws: as `restore`.
    func restoreNewest(
        ofRun run: String, into provider: any StateProvider, mode: RestoreMode,
        types: RestoreTypes, threads: Int, _ help: MirrorHelp? = nil
    ) throws(CheckpointError) -> RestoreReport? {
        let target = try RestoreTarget(provider, nil, mode, types, threads) { _ in }
        var history = try runHistory()
        guard !history.line(of: run).isEmpty || meeting != nil else { return nil }
        var copied: RunHistory?
        func known(_ store: CheckpointStore) throws(CheckpointError) -> RunHistory {
            guard store !== self else { return history }
            if let copied { return copied }
            let found = try store.runHistory()
            copied = found
            return found
        }
        var isFirst = true
        let (found, skipped) = try walkBackTogether(true, target.selection, help) {
            manifest, store throws(CheckpointError) -> PlannedRestore? in
            // The catalog, which may be wrong, has chosen the line.
            guard try known(store).contains(RunMember(manifest), in: run) else { return nil }
            return try PlannedRestore(manifest, into: target)
        } restore: { planned, store throws(CheckpointError) in
            var report = try planned.run(in: store)
            let history = try known(store)
            if store !== self {
                try report.come(from: store, at: help?.copy?.place ?? "")
                report.place = history.place(of: report.run, in: run)
            }
            report.continuedBranch = history.branch(of: run)
            return report
        } among: { store throws(CheckpointError) in
            if store === self, !isFirst { history = try self.runHistory() }
            isFirst = false
            return try known(store).line(of: run)
        }
        guard var report = found else {
            if skipped.isEmpty { return nil }
            throw try lost(run, history, skipped, help)
        }
        report.skipped = skipped
        guard report.mirror == nil else { return report }
        report.passedOver = history.passedOver(
            newerThan: ManifestName(run: report.run, step: report.step),
            at: report.createdMilliseconds, in: run, line: history.line(of: run))
        return report
    }

    /// Returns the error of a run none of whose checkpoints could be restored.
    private func lost(
        _ run: String, _ history: RunHistory, _ skipped: [CheckpointError], _ help: MirrorHelp?
    ) throws(CheckpointError) -> CheckpointError {
        guard history.line(of: run).isEmpty, let first = skipped.first else {
            return try missing(.latestOfRun(run), skipped)
        }
        let command = help?.copy.map { ": ckpt mirror \($0.place) \(directories.root)" } ?? ""
        return CheckpointError(
            .unsupported,
            "run \(run) is only in the mirror, and not every rank can restore it: \(first)",
            remedy: "Give all ranks the same mirror, or copy the checkpoints back first\(command)")
    }
}
