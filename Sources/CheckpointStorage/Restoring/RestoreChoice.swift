internal import CheckpointFormat

/// The choice of rank 0 among the checkpoints of the store, and of its mirror if those do not do.
struct RestoreChoice {
    private let store: CheckpointStore
    private let walksBack: Bool
    private let help: MirrorHelp?
    /// Lists the checkpoints of a store that are meant, best first.
    private let list: (CheckpointStore) throws(CheckpointError) -> [ManifestName]
    private var candidates: ArraySlice<RestoreCandidate> = []
    private var isMirrorListed = false
    /// Why rank 0 has given up before any rank was asked; nil if it has not.
    private(set) var failure: CheckpointError?

    /// Lists nothing yet.
    ///
    /// - Parameters:
    ///   - store: the store.
    ///   - walksBack: false if only the first checkpoint is meant.
    ///   - help: the mirror; nil if it is not to be asked.
    ///   - list: lists the checkpoints of a store that are meant, best first.
    init(
        in store: CheckpointStore, walksBack: Bool, help: MirrorHelp?,
        list: @escaping (CheckpointStore) throws(CheckpointError) -> [ManifestName]
    ) {
        (self.store, self.walksBack, self.help, self.list) = (store, walksBack, help, list)
    }

    /// Returns the first word.
    mutating func begin() -> RestoreOrder {
        var missing: CheckpointError?
        do throws(CheckpointError) {
            candidates = try list(store).map { RestoreCandidate($0) }[...]
        } catch {
            guard error.code == .notFound, help?.copy != nil else { return stop(error) }
            missing = error
        }
        if let first = candidates.popFirst() { return .compare(first, []) }
        let word = withMirror(.nothing([]))
        if let missing, word == .nothing([]) { return stop(missing) }
        return word
    }

    /// Returns what follows from the answers of all ranks.
    ///
    /// - Parameters:
    ///   - answers: the answers, by rank.
    ///   - next: the word if all have succeeded.
    mutating func word(after answers: [RestoreAnswer], next: RestoreOrder) -> RestoreOrder {
        let mayAsk = help?.copy != nil && !isMirrorListed
        let word = RestoreAnswer.word(
            after: answers, next: next, walksBack: walksBack || mayAsk, &candidates)
        return word == next ? word : withMirror(word)
    }

    private mutating func stop(_ error: CheckpointError) -> RestoreOrder {
        failure = error
        return .stop("rank 0: \(error)")
    }

    /// Adds the checkpoints of the mirror, once, now that those of the store alone do not do.
    private mutating func withMirror(_ word: RestoreOrder) -> RestoreOrder {
        guard let help, let copy = help.copy, !isMirrorListed else { return word }
        let (rest, damage): ([ManifestName], [String])
        switch word {
        case .compare(let next, let texts):
            (rest, damage) = ([next.name] + candidates.map(\.name), texts)
        case .nothing(let texts): (rest, damage) = ([], texts)
        case .restore, .done, .stop: return word
        }
        isMirrorListed = true
        do throws(CheckpointError) {
            guard let store = try copy.open() else { return word }
            let merged = RestoreCandidate.merged(rest, try list(store))
            candidates = walksBack ? merged[...] : merged.prefix(1)
            return RestoreOrder(next: candidates.popFirst(), damage)
        } catch {
            if error.code == .notFound { return word }
            // It may have what the store has not.
            if rest.isEmpty, damage.isEmpty { return stop(error) }
            help.onFailure(error)
            return word
        }
    }
}
