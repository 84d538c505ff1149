/// Message of rank 0 to the others while they look together for a checkpoint to restore.
enum RestoreOrder: Equatable {
    /// Say whether this one fits. The texts say what is wrong with the one before.
    case compare(RestoreCandidate, [String])
    /// It fits every rank: restore it.
    case restore(RestoreCandidate)
    /// Every rank has restored the checkpoint.
    case done
    /// There is no other. The texts say what is wrong with the one before.
    case nothing([String])
    /// Give up.
    case stop(String)

    /// Room for the words before a text.
    private static let textBytesMax = RankMeeting.bytesMax - 128

    /// The word for the next checkpoint, if there is one.
    init(next candidate: RestoreCandidate?, _ damage: [String]) {
        self = candidate.map { .compare($0, damage) } ?? .nothing(damage)
    }

    /// Parses a word; nil if it is none.
    init?(decoding bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let rest = Array(lines.dropFirst())
        switch lines.first {
        case "compare", "restore":
            guard let name = rest.first.flatMap({ RestoreCandidate($0) }) else { return nil }
            let isComparison = lines.first == "compare"
            self = isComparison ? .compare(name, Array(rest.dropFirst())) : .restore(name)
        case "done": self = .done
        case "nothing": self = .nothing(rest)
        case "stop": self = .stop(rest.joined(separator: "\n"))
        default: return nil
        }
    }

    func encoded() -> [UInt8] {
        let lines =
            switch self {
            case .compare(let name, let damage): ["compare", name.text] + damage.map(Self.line)
            case .restore(let name): ["restore", name.text]
            case .done: ["done"]
            case .nothing(let damage): ["nothing"] + damage.map(Self.line)
            case .stop(let text): ["stop", Self.line(text)]
            }
        return Array(lines.joined(separator: "\n").utf8.prefix(RankMeeting.bytesMax))
    }

    private static func line(_ text: String) -> String {
        let bytes = text.utf8.prefix(textBytesMax)
        return String(decoding: bytes, as: UTF8.self).replacing("\n", with: " ")
    }
}
