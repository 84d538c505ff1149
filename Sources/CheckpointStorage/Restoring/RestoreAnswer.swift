internal import CheckpointFormat

/// Answer of a rank to rank 0 about a checkpoint that all ranks were to restore.
enum RestoreAnswer: Equatable {
    case restored
    /// It is not one of the checkpoints that are meant.
    case notMeant
    /// The checkpoint is damaged, or gone.
    case lost(String)
    /// The rank cannot restore this checkpoint or any other.
    case failed(String)

    /// The answer for a result; nil is a checkpoint that is not meant.
    init<R>(_ result: Result<R?, CheckpointError>) {
        self =
            switch result {
            case .success(nil): .notMeant
            case .success: .restored
            case .failure(let error) where error.meansLoss: .lost("\(error)")
            case .failure(let error): .failed("\(error)")
            }
    }

    /// Parses an answer; one that is not understood is a failure.
    init(decoding bytes: [UInt8]) {
        let text = String(decoding: bytes.dropFirst(), as: UTF8.self)
        self =
            switch bytes.first {
            case 0: .restored
            case 1: .notMeant
            case 2: .lost(text)
            default: .failed(text)
            }
    }

    func encoded() -> [UInt8] {
        switch self {
        case .restored: [0]
        case .notMeant: [1]
        case .lost(let text): [2] + text.utf8
        case .failed(let text): [3] + text.utf8
        }
    }

    /// Returns what rank 0 says to the answers of all ranks.
    ///
    /// - Parameters:
    ///   - answers: the answers, by rank.
    ///   - walksBack: false if no other checkpoint is meant.
    ///   - names: the checkpoints that are left, best first.
    static func word(
        after answers: [RestoreAnswer], walksBack: Bool, _ names: inout ArraySlice<ManifestName>
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
            case .restored: break
            }
        }
        if damage.isEmpty, isMeant { return .done }
        return RestoreOrder(next: names.popFirst(), damage)
    }
}
