internal import CheckpointFormat
internal import CheckpointSegments
package import CheckpointState

/// The restore of the newest intact checkpoint of a run from the nearest place that has it: the
/// store itself, then its mirror. The trainer's thread.
package struct NearestRestore {
    private let store: CheckpointStore
    private let run: String
    private let provider: any StateProvider
    private let mode: RestoreMode
    private let types: RestoreTypes
    private let threads: Int

    /// Restores nothing yet.
    ///
    /// - Parameters:
    ///   - store: the store, with its mirror if it has one.
    ///   - run: the run's name.
    ///   - provider: describes the state, lends its memory and takes the objects.
    ///   - mode: whether state and checkpoint must have the same names.
    ///   - types: whether a tensor must have the same element type.
    ///   - threads: number of reading threads, at least 1.
    package init(
        store: CheckpointStore, run: String, provider: any StateProvider, mode: RestoreMode,
        types: RestoreTypes, threads: Int
    ) {
        (self.store, self.run, self.provider) = (store, run, provider)
        (self.mode, self.types, self.threads) = (mode, types, threads)
    }

    /// Restores the newest intact checkpoint of the run.
    ///
    /// The mirror is asked if the store has no checkpoint of the run, or had to skip one. Several
    /// ranks resume from the store alone: not all of them may have been given the mirror.
    ///
    /// - Parameter warn: called if the mirror could not help, and an older checkpoint of the store
    ///   was restored.
    /// - Returns: the report; nil if neither place has a checkpoint of the run.
    /// - Throws: as `CheckpointStore.restore`; code `io` also if only the mirror may have one, and
    ///   cannot be read.
    package func run(warn: (String) -> Void) throws(CheckpointError) -> RestoreReport? {
        guard let mirror = store.mirror else { return try newest(in: store) }
        guard store.meeting == nil else { return try together(mirror, warn) }
        let own: RestoreReport?
        do throws(CheckpointError) {
            own = try newest(in: store)
        } catch {
            guard error.code == .damaged else { throw error }
            guard let report = try restore(from: mirror, newerThan: nil) else { throw error }
            return report
        }
        guard let own else { return try restore(from: mirror, newerThan: nil) }
        guard !own.skipped.isEmpty else { return own }
        let name = ManifestName(run: own.run, step: own.step)
        do throws(CheckpointError) {
            if let report = try restore(from: mirror, newerThan: name) { return report }
            return own
        } catch {
            warn(
                "the checkpoints that are damaged in \(store.directories.root) cannot be restored "
                    + "from the mirror \(mirror.place) either: \(error)")
            // The state may be overwritten in part.
            return try newest(in: store)
        }
    }

    /// Restores with the other ranks. If only the mirror has the run, fails on all of them.
    private func together(
        _ mirror: any CheckpointMirror, _ warn: (String) -> Void
    ) throws(CheckpointError) -> RestoreReport? {
        let hint = "several ranks do not restore from the mirror \(mirror.place)"
        do throws(CheckpointError) {
            let own = try store.restoreNewest(
                ofRun: run, into: provider, mode: mode, types: types, threads: threads
            ) { () throws(CheckpointError) in
                guard let copy = try copy(in: mirror),
                    try !copy.runHistory().line(of: run).isEmpty
                else { return }
                throw CheckpointError(
                    .unsupported, "run \(run) is only in the mirror, and \(hint)",
                    remedy: "Copy the checkpoints back first: "
                        + "ckpt mirror \(mirror.place) \(store.directories.root)")
            }
            if let own, !own.skipped.isEmpty { warn(hint) }
            return own
        } catch {
            if error.code == .damaged { warn(hint) }
            throw error
        }
    }

    private func newest(in store: CheckpointStore) throws(CheckpointError) -> RestoreReport? {
        try store.restoreNewest(
            ofRun: run, into: provider, mode: mode, types: types, threads: threads)
    }

    /// Restores from the mirror.
    ///
    /// - Parameter name: the checkpoint that the store itself has; nil if none.
    /// - Returns: nil if the mirror has no checkpoint of the run that is newer.
    private func restore(
        from mirror: any CheckpointMirror, newerThan name: ManifestName?
    ) throws(CheckpointError) -> RestoreReport? {
        guard let copy = try copy(in: mirror) else { return nil }
        let history = try copy.runHistory()
        guard let newest = history.line(of: run).first else { return nil }
        if let name, newest <= name { return nil }
        guard var report = try self.newest(in: copy) else { return nil }
        if let name, ManifestName(run: report.run, step: report.step) <= name { return nil }
        report.mirror = mirror.place
        report.place = history.place(of: report.run, in: run)
        report.newestRestart = max(report.run, try copy.files.names().last?.run ?? report.run)
        return report
    }

    /// Opens the copy of this store.
    private func copy(
        in mirror: any CheckpointMirror
    ) throws(CheckpointError) -> CheckpointStore? {
        guard let copy = try mirror.openStore() else { return nil }
        guard copy.id == store.id else {
            throw CheckpointError(
                .misuse,
                "\(mirror.place) is the mirror of another store than \(store.directories.root)",
                remedy: "To continue that store, open an empty directory with this mirror")
        }
        return copy
    }
}
