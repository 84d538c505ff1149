internal import CheckpointFormat
internal import CheckpointSegments
package import CheckpointState

/// The restore of a checkpoint from the nearest place that has it: the store itself, then its
/// mirror. The trainer's thread.
package struct NearestRestore {
    private let store: CheckpointStore
    private let run: String
    /// Nil for the newest intact checkpoint of the run.
    private let reference: CheckpointReference?
    private let provider: any StateProvider
    private let mode: RestoreMode
    private let types: RestoreTypes
    private let threads: Int

    /// Restores nothing yet.
    ///
    /// - Parameters:
    ///   - store: the store, with its mirror if it has one.
    ///   - run: name of the run that goes on.
    ///   - reference: the checkpoint; nil for the newest intact one of the run.
    ///   - provider: describes the state, lends its memory and takes the objects.
    ///   - mode: whether state and checkpoint must have the same names.
    ///   - types: whether a tensor must have the same element type.
    ///   - threads: number of reading threads, at least 1.
    package init(
        store: CheckpointStore, run: String, _ reference: CheckpointReference? = nil,
        into provider: any StateProvider, mode: RestoreMode, types: RestoreTypes, threads: Int
    ) {
        (self.store, self.run, self.reference) = (store, run, reference)
        self.provider = provider
        (self.mode, self.types, self.threads) = (mode, types, threads)
    }

    /// Restores the checkpoint.
    ///
    /// The mirror is asked if the store has no such checkpoint, or had to skip one. Of several
    /// ranks, rank 0 decides that, and each reads from the mirror by itself.
    ///
    /// - Parameter warn: called if the mirror could not help, and an older checkpoint of the store
    ///   was restored.
    /// - Returns: the report; nil if neither place has a checkpoint of the run.
    /// - Throws: as `CheckpointStore.restore`; code `io` also if only the mirror may have one, and
    ///   cannot be read.
    package func run(warn: @escaping (String) -> Void) throws(CheckpointError) -> RestoreReport? {
        let mirror = MirrorCopy(of: store)
        guard store.meeting == nil else { return try together(mirror, warn) }
        guard let mirror else { return try restore(in: store) }
        let own: RestoreReport?
        do throws(CheckpointError) {
            own = try restore(in: store)
        } catch {
            guard error.meansLoss else { throw error }
            guard let report = try restore(from: mirror, newerThan: nil) else { throw error }
            return report
        }
        guard let own else { return try restore(from: mirror, newerThan: nil) }
        guard !own.skipped.isEmpty else { return own }
        let name = ManifestName(run: own.run, step: own.step)
        do throws(CheckpointError) {
            return try restore(from: mirror, newerThan: name) ?? own
        } catch {
            warn(Self.unhelpful(mirror.place, store, error))
            // The state may be overwritten in part.
            return try restore(in: store)
        }
    }

    private static func unhelpful(
        _ place: String, _ store: CheckpointStore, _ error: CheckpointError
    ) -> String {
        "the checkpoints that are damaged in \(store.directories.root) cannot be restored "
            + "from the mirror \(place) either: \(error)"
    }

    private func together(
        _ mirror: MirrorCopy?, _ warn: @escaping (String) -> Void
    ) throws(CheckpointError) -> RestoreReport? {
        let help = MirrorHelp(mirror) { [store] error in
            warn(Self.unhelpful(mirror?.place ?? "", store, error))
        }
        guard let reference else {
            return try store.restoreNewest(
                ofRun: run, into: provider, mode: mode, types: types, threads: threads, help)
        }
        var report = try store.restoreTogether(
            reference, into: provider, mode: mode, types: types, threads: threads, help)
        try findPlace(of: &report, in: report.mirror == nil ? store : help.open())
        return report
    }

    /// Finds out how a run goes on from a checkpoint that was named: on its branch, if that is the
    /// newest of the run that is intact.
    private func findPlace(
        of report: inout RestoreReport, in source: CheckpointStore
    ) throws(CheckpointError) {
        let history = try source.runHistory()
        let name = ManifestName(run: report.run, step: report.step)
        // Damaged checkpoints that were skipped may stand before it in the line.
        if let index = history.line(of: run).firstIndex(of: name), index <= report.skipped.count {
            report.continuedBranch = history.branch(of: run)
        }
        if source !== store, try store.runHistory().line(of: run).isEmpty {
            report.place = history.place(of: report.run, in: run)
        }
    }

    private func restore(in store: CheckpointStore) throws(CheckpointError) -> RestoreReport? {
        guard let reference else {
            return try store.restoreNewest(
                ofRun: run, into: provider, mode: mode, types: types, threads: threads)
        }
        var report = try store.restore(
            reference, into: provider, mode: mode, types: types, threads: threads)
        try findPlace(of: &report, in: store)
        return report
    }

    /// Restores from the mirror.
    ///
    /// - Parameter name: the checkpoint that the store itself has; nil if none.
    /// - Returns: nil if the mirror has no such checkpoint, or none that is newer.
    private func restore(
        from mirror: MirrorCopy, newerThan name: ManifestName?
    ) throws(CheckpointError) -> RestoreReport? {
        guard let copy = try mirror.open() else { return nil }
        let history = try copy.runHistory()
        let candidates =
            try reference.map { reference throws(CheckpointError) in
                try copy.candidatesIfAny(reference)
            } ?? history.line(of: run)
        guard let newest = candidates.first else { return nil }
        if let name, newest <= name { return nil }
        guard var report = try restore(in: copy) else { return nil }
        if let name, ManifestName(run: report.run, step: report.step) <= name { return nil }
        try report.come(from: copy, at: mirror.place)
        if reference == nil { report.place = history.place(of: report.run, in: run) }
        return report
    }
}
