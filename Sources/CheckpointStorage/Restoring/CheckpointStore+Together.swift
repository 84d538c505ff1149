internal import CheckpointFormat

extension CheckpointStore {
    /// Calls `body` with the first of some checkpoints for which it succeeds on every rank. Rank 0
    /// lists the checkpoints and decides. If this process saves alone, this is `walkBack`.
    ///
    /// - Parameters:
    ///   - walksBack: false if only the first checkpoint is meant.
    ///   - selection: what this rank needs of a checkpoint.
    ///   - body: nil means that the checkpoint is not one of those meant.
    ///   - candidates: lists the checkpoints, best first; counts on rank 0 alone.
    /// - Returns: the result, nil if no checkpoint gave one, and the damage of those skipped.
    /// - Throws: the error of `body`; code `cancelled` if another rank has failed; those of the
    ///   meeting.
    func walkBackTogether<R>(
        _ walksBack: Bool, _ selection: PartFiles.Selection?,
        _ body: (Manifest) throws(CheckpointError) -> R?,
        among candidates: () throws(CheckpointError) -> [ManifestName]
    ) throws(CheckpointError) -> (result: R?, skipped: [CheckpointError]) {
        guard let meeting else {
            return try walkBack(walksBack, selection, body, among: candidates)
        }
        var names: ArraySlice<ManifestName> = []
        var word = RestoreOrder.nothing([])
        var outcome: Result<R?, CheckpointError>?
        if meeting.ranks.rank == 0 {
            do throws(CheckpointError) {
                names = try candidates()[...]
                word = RestoreOrder(next: names.popFirst(), [])
            } catch {
                outcome = .failure(error)
                word = .stop("rank 0: \(error)")
            }
        }
        var skipped: [CheckpointError] = []
        while true {
            switch RestoreOrder(decoding: try meeting.decide { word.encoded() }) {
            case .attempt(let name, let damage):
                skipped += damage.map { CheckpointError(.damaged, $0) }
                let result = Result { () throws(CheckpointError) in
                    try files.reading(name, selection, body)
                }
                outcome = result
                let answers = try meeting.collect(RestoreAnswer(result).encoded())
                guard meeting.ranks.rank == 0 else { continue }
                word = RestoreAnswer.word(
                    after: answers.map { RestoreAnswer(decoding: $0) }, walksBack: walksBack,
                    &names)
            case .done:
                guard let outcome else { throw Self.notUnderstood }
                return (try outcome.get(), skipped)
            case .nothing(let damage):
                return (nil, skipped + damage.map { CheckpointError(.damaged, $0) })
            case .stop(let text):
                if case .failure(let error)? = outcome { throw error }
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
