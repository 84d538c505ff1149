internal import CheckpointFormat
internal import CheckpointIO
public import CheckpointStorage
internal import Foundation

extension Checkpointer {
    /// Restores the newest intact checkpoint of this run, if there is any, and continues the run
    /// from it.
    ///
    /// The run's checkpoints are those that a checkpointer with the same run name saved in this
    /// store. Imports, copies from other stores and other runs are not considered; the report and
    /// the log name those that are newer. Several ranks restore the newest checkpoint that every one
    /// of them can restore, each in its own layout; all of them make this call. What a rank does not
    /// describe is then left to the others, in mode `strict` too.
    ///
    /// If the store has a mirror, and has lost the checkpoint or finds it damaged, it is restored
    /// from the mirror: straight into memory, checked as always. Of several ranks, each reads from
    /// the mirror, which all of them must be given.
    ///
    /// - Parameters:
    ///   - mode: whether state and checkpoint must have the same names.
    ///   - types: whether a tensor must have the same element type.
    /// - Returns: nil if the run has no checkpoint.
    /// - Throws: codes `mismatch`, `io` (also if the store has no checkpoint of the run, and its
    ///   mirror cannot be read), `damaged` (no checkpoint of the run is intact), `cancelled`
    ///   (another rank has failed), `timedOut` (another rank is not there).
    @discardableResult
    public func resume(
        mode: RestoreMode = .strict, types: RestoreTypes = .exact
    ) throws(CheckpointError) -> RestoreReport? {
        let report = try restoring { () throws(CheckpointError) in
            try NearestRestore(
                store: store, run: runName, into: provider, mode: ranked(mode), types: types,
                threads: options.workers
            ).run { [observers] text in observers.warn(text) }
        }
        guard let report else {
            let others = try store.runHistory().names
            if !others.isEmpty {
                let list = others.prefix(4).joined(separator: ", ")
                observers.note(
                    "run \(runName) has no checkpoint to resume from; the store has checkpoints of \(list)"
                )
            }
            return nil
        }
        try adopt(report)
        return report
    }

    /// Restores a checkpoint that need not be this run's, and continues from it.
    ///
    /// Unless it is the newest of this run, the saves that follow begin a branch with this
    /// checkpoint as parent. Use it to go back to an earlier checkpoint within one process, for
    /// example after a loss spike: steps that were saved since may be saved again.
    ///
    /// - Parameters:
    ///   - source: the checkpoint.
    ///   - mode: whether state and checkpoint must have the same names.
    ///   - types: whether a tensor must have the same element type.
    /// - Returns: the checkpoint restored, and those that were skipped.
    /// - Throws: as `restore`.
    @discardableResult
    public func resume(
        from source: ResumeSource, mode: RestoreMode = .strict, types: RestoreTypes = .exact
    ) throws(CheckpointError) -> RestoreReport {
        switch source {
        case .run(let name): try restore(.latestOfRun(name), mode: mode, types: types)
        case .reference(let reference): try restore(reference, mode: mode, types: types)
        case .any: try restore(.latest, mode: mode, types: types)
        }
    }

    /// Restores a checkpoint into the state, and makes it the parent of the saves that follow.
    ///
    /// Waits for saves in flight first. If the store has a mirror, and does not have the checkpoint
    /// or finds it damaged, it is restored from the mirror.
    ///
    /// - Parameters:
    ///   - reference: the checkpoint; `latest` skips damaged ones.
    ///   - mode: whether state and checkpoint must have the same names.
    ///   - types: whether a tensor must have the same element type.
    /// - Returns: the checkpoint restored, and those that were skipped.
    /// - Throws: codes `notFound`, `damaged`, `mismatch`, `unsupported`, `io`, `provider`; unless
    ///   the code is `mismatch`, the state is partly overwritten then, and must not be used.
    @discardableResult
    public func restore(
        _ reference: CheckpointReference, mode: RestoreMode = .strict, types: RestoreTypes = .exact
    ) throws(CheckpointError) -> RestoreReport {
        let report = try restoring { () throws(CheckpointError) in
            try NearestRestore(
                store: store, run: runName, reference, into: provider, mode: ranked(mode),
                types: types, threads: options.workers
            ).run { [observers] text in observers.warn(text) }
        }
        guard let report else { throw try store.missing(reference, []) }
        try adopt(report)
        return report
    }

    /// Returns the mode for this rank's part of the state: what the checkpoint has beyond it is for
    /// other ranks.
    private func ranked(_ mode: RestoreMode) -> RestoreMode {
        store.meeting != nil && mode == .strict ? .subset : mode
    }

    private func restoring<R>(_ body: () throws(CheckpointError) -> R) throws(CheckpointError) -> R
    {
        pipeline.waitUntilIdle()
        return try mutate { () throws(CheckpointError) in try body() }
    }

    /// Continues from a restored checkpoint, and logs it.
    private func adopt(_ report: RestoreReport) throws(CheckpointError) {
        let parent = Manifest.Parent(id: report.id, run: report.run, step: report.step)
        let current = state.withLock { $0.restart }
        // The restarts of a lost store may be ahead of this machine's clock.
        let newest = max(try store.files.names().last?.run ?? current, report.newestRestart)
        if let reuse, !report.skipped.isEmpty || report.mirror != nil {
            let name = ManifestName(run: report.run, step: report.step)
            let isHere = report.mirror == nil
            reuse.trust(only: isHere ? try store.files.load(name).manifest.segments : [])
        }
        let next = try store.agreed(
            RunID.next(
                clockMilliseconds: UInt64(Clock.milliseconds), after: max(newest, current)))
        let (restart, branch) = state.withLock { state in
            if let place = report.place { state.place = place }
            state.continues(
                from: parent, branch: report.continuedBranch, next: next, newest: newest)
            return (state.restart, state.place.branch)
        }
        observers.begins(restart: restart)
        completion.continues(try store.runHistory().items(ofBranch: branch, in: runName))
        for skipped in report.skipped { observers.warn("skipped a damaged checkpoint: \(skipped)") }
        var text = "run \(runName) resumed from step \(report.step)"
        if report.runName != runName || report.origin.kind != .training {
            text += " of \(report.runName)"
        }
        text += ", saved \(report.created.formatted(.iso8601))"
        if let mirror = report.mirror { text += ", from the mirror \(mirror)" }
        text += Self.conversions(report)
        if !report.passedOver.isEmpty {
            let shown = report.passedOver.prefix(4).map(\.description).joined(separator: ", ")
            let more = report.passedOver.count > 4 ? " and \(report.passedOver.count - 4) more" : ""
            text += "; skipped newer checkpoints: \(shown)\(more)"
        }
        observers.note(text)
        if report.overflowCount > 0 {
            observers.warn(
                "\(report.overflowCount) elements of step \(report.step) became infinite: they are"
                    + " too large for the element types of the state")
        }
    }

    /// Says what was not restored as it had been saved.
    private static func conversions(_ report: RestoreReport) -> String {
        var text = ""
        if let first = report.converted.first {
            let count = report.converted.count
            text += "; converted \(first)" + (count > 1 ? " and \(count - 1) more tensors" : "")
        }
        if !report.fromFirstRank.isEmpty {
            let names = report.fromFirstRank.joined(separator: ", ")
            text += "; saved on another mesh, so these come from the first rank: \(names)"
        }
        return text
    }
}
