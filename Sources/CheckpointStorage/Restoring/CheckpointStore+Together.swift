internal import CheckpointFormat

extension CheckpointStore {
    /// Restores the first of some checkpoints that every rank can restore. Rank 0 lists the
    /// checkpoints and decides. If this process saves alone, this is `walkBack`.
    ///
    /// No rank restores before every rank has planned: what does not fit one of them changes none.
    ///
    /// - Parameters:
    ///   - walksBack: false if only the first checkpoint is meant.
    ///   - selection: what this rank needs of a checkpoint.
    ///   - help: the mirror; nil if it is not to be asked.
    ///   - plan: compares a checkpoint of a store with the state, and changes nothing; nil means
    ///     that the checkpoint is not one of those meant.
    ///   - restore: carries out a plan.
    ///   - candidates: lists the checkpoints of a store, best first; counts on rank 0 alone.
    /// - Returns: the result, nil if no checkpoint gave one, and the damage of those skipped.
    /// - Throws: the error of `plan` and of `restore`; code `cancelled` if another rank has failed;
    ///   those of the meeting.
    func walkBackTogether<Plan, R>(
        _ walksBack: Bool, _ selection: PartFiles.Selection?, _ help: MirrorHelp?,
        plan: (Manifest, CheckpointStore) throws(CheckpointError) -> Plan?,
        restore: (Plan, CheckpointStore) throws(CheckpointError) -> R,
        among candidates: @escaping (CheckpointStore) throws(CheckpointError) -> [ManifestName]
    ) throws(CheckpointError) -> (result: R?, skipped: [CheckpointError]) {
        func restored(
            _ manifest: Manifest, _ store: CheckpointStore
        ) throws(CheckpointError) -> R? {
            guard let plan = try plan(manifest, store) else { return nil }
            return try restore(plan, store)
        }
        guard let meeting else {
            return try walkBack(walksBack, selection) { manifest throws(CheckpointError) in
                try restored(manifest, self)
            } among: { () throws(CheckpointError) in
                try candidates(self)
            }
        }
        var choice = RestoreChoice(
            in: self, walksBack: walksBack, help: help, list: candidates)
        var word = meeting.ranks.rank == 0 ? choice.begin() : RestoreOrder.nothing([])
        var (planned, hash, result): (Plan?, Hash128?, R?) = (nil, nil, nil)
        var failure = choice.failure
        /// Tells rank 0 what came of a step, and lets it decide.
        func answer(
            _ outcome: Result<Bool, CheckpointError>, next: RestoreOrder
        ) throws(CheckpointError) {
            if case .failure(let error) = outcome { failure = error } else { failure = nil }
            let answers = try meeting.collect(RestoreAnswer(outcome).encoded())
            guard meeting.ranks.rank == 0 else { return }
            word = choice.word(
                after: answers.map { RestoreAnswer(decoding: $0) }, next: next)
        }
        var skipped: [CheckpointError] = []
        while true {
            switch RestoreOrder(decoding: try meeting.decide { word.encoded() }) {
            case .compare(let candidate, let damage):
                skipped += damage.map { CheckpointError(.damaged, $0) }
                let outcome = Result { () throws(CheckpointError) in
                    let store = try self.store(of: candidate, help)
                    hash = try? store.files.hash(of: candidate.name)  // Else `reading` says why.
                    planned = try store.files.reading(candidate.name, selection) {
                        manifest throws(CheckpointError) in try plan(manifest, store)
                    }
                    return planned != nil
                }
                try answer(outcome, next: .restore(candidate))
            case .restore(let candidate):
                let outcome = Result { () throws(CheckpointError) in
                    let store = try self.store(of: candidate, help)
                    result = try store.carryOut(
                        planned, candidate.name, selection, unlessReplaced: hash, plan: plan,
                        restore: restore)
                    return result != nil
                }
                try answer(outcome, next: .done)
            case .done:
                if let result { return (result, skipped) } else { throw Self.notUnderstood }
            case .nothing(let damage):
                return (nil, skipped + damage.map { CheckpointError(.damaged, $0) })
            case .stop(let text):
                if let failure { throw failure }
                throw CheckpointError(
                    .cancelled, "another rank could not restore the checkpoint: \(text)")
            case nil: throw Self.notUnderstood
            }
        }
    }

    /// Carries out the plan of a checkpoint; makes another if a repack has replaced its manifest.
    private func carryOut<Plan, R>(
        _ planned: Plan?, _ name: ManifestName, _ selection: PartFiles.Selection?,
        unlessReplaced hash: Hash128?,
        plan: (Manifest, CheckpointStore) throws(CheckpointError) -> Plan?,
        restore: (Plan, CheckpointStore) throws(CheckpointError) -> R
    ) throws(CheckpointError) -> R? {
        guard let planned else { return nil }
        do throws(CheckpointError) {
            return try restore(planned, self)
        } catch
        // One that is gone says so when it is read.
        where error.code.meansDamage && (try? files.hash(of: name)) != hash {
            return try files.reading(name, selection) { manifest throws(CheckpointError) in
                guard let plan = try plan(manifest, self) else { return nil }
                return try restore(plan, self)
            }
        }
    }

    /// Returns the store of a candidate. A mirror that cannot be read is one that has lost it.
    private func store(
        of candidate: RestoreCandidate, _ help: MirrorHelp?
    ) throws(CheckpointError) -> CheckpointStore {
        guard candidate.isInMirror else { return self }
        do throws(CheckpointError) {
            return try (help ?? MirrorHelp(nil) { _ in }).open()
        } catch { throw CheckpointError(.notFound, error.message, remedy: error.remedy) }
    }

    private static var notUnderstood: CheckpointError {
        CheckpointError(
            .io, "rank 0 sent a message that this rank cannot decode",
            remedy: "Start all processes with the same version of the library")
    }
}
