internal import CheckpointCatalog
internal import CheckpointFormat
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
    /// - Returns: the report.
    /// - Throws: as `restore`, and code `cancelled` if another rank cannot restore it.
    package func restoreTogether(
        _ reference: CheckpointReference, into provider: any StateProvider, mode: RestoreMode,
        types: RestoreTypes, threads: Int
    ) throws(CheckpointError) -> RestoreReport {
        let target = try RestoreTarget(provider, nil, mode, types, threads) { _ in }
        let (found, skipped) = try walkBackTogether(reference.walksBack, target.selection) {
            manifest throws(CheckpointError) in
            try PlannedRestore(manifest, into: target)
        } restore: { planned throws(CheckpointError) in
            try planned.run(in: self)
        } among: { () throws(CheckpointError) in
            try candidates(reference)
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
    ///   - ifNone: called if training in this store saved none in the run; of several ranks, on
    ///     rank 0, and its error fails all of them.
    /// - Returns: the report; nil if training in this store saved none in the run.
    /// - Throws: as `restore`, and the error of `ifNone`.
    package func restoreNewest(
        ofRun run: String, into provider: any StateProvider, mode: RestoreMode,
        types: RestoreTypes, threads: Int,
        ifNone: () throws(CheckpointError) -> Void = { () throws(CheckpointError) in }
    ) throws(CheckpointError) -> RestoreReport? {
        let target = try RestoreTarget(provider, nil, mode, types, threads) { _ in }
        var history = try runHistory()
        var line = history.line(of: run)
        guard !line.isEmpty || meeting != nil else {
            try ifNone()
            return nil
        }
        var isFirst = true
        let (found, skipped) = try walkBackTogether(true, target.selection) {
            manifest throws(CheckpointError) -> PlannedRestore? in
            // The catalog, which may be wrong, has chosen the line.
            guard history.contains(RunMember(manifest), in: run) else { return nil }
            return try PlannedRestore(manifest, into: target)
        } restore: { planned throws(CheckpointError) in
            try planned.run(in: self)
        } among: { () throws(CheckpointError) in
            if !isFirst {
                history = try runHistory()
                line = history.line(of: run)
            }
            isFirst = false
            if line.isEmpty { try ifNone() }
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
}
