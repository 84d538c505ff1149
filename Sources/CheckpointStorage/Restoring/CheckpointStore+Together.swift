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
    ///   - plan: compares a checkpoint with the state, and changes nothing; nil means that the
    ///     checkpoint is not one of those meant.
    ///   - restore: carries out a plan.
    ///   - candidates: lists the checkpoints, best first; counts on rank 0 alone.
    /// - Returns: the result, nil if no checkpoint gave one, and the damage of those skipped.
    /// - Throws: the error of `plan` and of `restore`; code `cancelled` if another rank has failed;
    ///   those of the meeting.
    func walkBackTogether<Plan, R>(
        _ walksBack: Bool, _ selection: PartFiles.Selection?,
        plan: (Manifest) throws(CheckpointError) -> Plan?,
        restore: (Plan) throws(CheckpointError) -> R,
        among candidates: () throws(CheckpointError) -> [ManifestName]
    ) throws(CheckpointError) -> (result: R?, skipped: [CheckpointError]) {
        func restored(_ manifest: Manifest) throws(CheckpointError) -> R? {
            guard let plan = try plan(manifest) else { return nil }
            return try restore(plan)
        }
        guard let meeting else {
            return try walkBack(walksBack, selection, restored, among: candidates)
        }
        var names: ArraySlice<ManifestName> = []
        var word = RestoreOrder.nothing([])
        var (planned, hash, result): (Plan?, Hash128?, R?) = (nil, nil, nil)
        var failure: CheckpointError?
        if meeting.ranks.rank == 0 {
            do throws(CheckpointError) {
                names = try candidates()[...]
                word = RestoreOrder(next: names.popFirst(), [])
            } catch {
                failure = error
                word = .stop("rank 0: \(error)")
            }
        }
        /// Tells rank 0 what came of a step, and lets it decide.
        func answer(
            _ outcome: Result<Bool, CheckpointError>, next: RestoreOrder
        ) throws(CheckpointError) {
            if case .failure(let error) = outcome { failure = error } else { failure = nil }
            let answers = try meeting.collect(RestoreAnswer(outcome).encoded())
            guard meeting.ranks.rank == 0 else { return }
            word = RestoreAnswer.word(
                after: answers.map { RestoreAnswer(decoding: $0) }, next: next,
                walksBack: walksBack, &names)
        }
        var skipped: [CheckpointError] = []
        while true {
            switch RestoreOrder(decoding: try meeting.decide { word.encoded() }) {
            case .compare(let name, let damage):
                skipped += damage.map { CheckpointError(.damaged, $0) }
                let outcome = Result { () throws(CheckpointError) in
                    hash = try? files.hash(of: name)  // Otherwise `reading` says why.
                    planned = try files.reading(name, selection, plan)
                    return planned != nil
                }
                try answer(outcome, next: .restore(name))
            case .restore(let name):
                let outcome = Result { () throws(CheckpointError) in
                    do throws(CheckpointError) { result = try planned.map(restore) } catch
                    // A repack has replaced the manifest. One that is gone says so when it is read.
                    where error.code.meansDamage && (try? files.hash(of: name)) != hash {
                        result = try files.reading(name, selection, restored)
                    }
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

    private static var notUnderstood: CheckpointError {
        CheckpointError(
            .io, "rank 0 sent a message that this rank cannot decode",
            remedy: "Start all processes with the same version of the library")
    }
}
