/// Answer of a rank to rank 0 about a checkpoint that all ranks were to compare or restore.
enum RestoreAnswer: Equatable {
    case succeeded
    /// It is not one of the checkpoints that are meant.
    case notMeant
    /// The checkpoint is damaged, or gone.
    case lost(String)
    /// The rank cannot restore this checkpoint or any other.
    case failed(String)

    /// The answer for a result; false is a checkpoint that is not meant.
    init(_ result: Result<Bool, CheckpointError>) {
        self =
            switch result {
            case .success(let isMeant): isMeant ? .succeeded : .notMeant
            case .failure(let error) where error.meansLoss: .lost("\(error)")
            case .failure(let error): .failed("\(error)")
            }
    }

    /// Parses an answer; one that is not understood is a failure.
    init(decoding bytes: [UInt8]) {
        let text = String(decoding: bytes.dropFirst(), as: UTF8.self)
        self =
            switch bytes.first {
            case 0: .succeeded
            case 1: .notMeant
            case 2: .lost(text)
            default: .failed(text)
            }
    }

    func encoded() -> [UInt8] {
        switch self {
        case .succeeded: [0]
        case .notMeant: [1]
        case .lost(let text): [2] + text.utf8
        case .failed(let text): [3] + text.utf8
        }
    }

    /// Returns what rank 0 says to the answers of all ranks.
    ///
    /// - Parameters:
    ///   - answers: the answers, by rank.
    ///   - next: what it says if all have succeeded.
    ///   - walksBack: false if no other checkpoint is meant.
    ///   - candidates: the checkpoints that are left, best first.
    static func word(
        after answers: [RestoreAnswer], next: RestoreOrder, walksBack: Bool,
        _ candidates: inout ArraySlice<RestoreCandidate>
    ) -> RestoreOrder {
        var damage: [String] = []
        var isMeant = true
        for (rank, answer) in answers.enumerated() {
            switch answer {
            case .failed(let text): return .stop("rank \(rank): \(text)")
            case .lost(let text) where !walksBack: return .stop("rank \(rank): \(text)")
            // One is enough to know why.
            case .lost(let text): if damage.isEmpty { damage = ["rank \(rank): \(text)"] }
            case .notMeant: isMeant = false
            case .succeeded: break
            }
        }
        if damage.isEmpty, isMeant { return next }
        return RestoreOrder(next: candidates.popFirst(), damage)
    }
}
