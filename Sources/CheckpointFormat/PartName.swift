/// Name of a file in the directory of an attempt of several ranks (Formats/store-layout.md,
/// Names).
package enum PartName: Hashable, Sendable, CustomStringConvertible {
    /// A rank's part: `RANK-WORLD.part`.
    case part(rank: Int, worldSize: Int)
    /// The sign that a rank has begun: `RANK-WORLD-TIME.begun`, in milliseconds since 1970.
    case begun(rank: Int, worldSize: Int, milliseconds: Int)
    /// The sign that a rank has failed: `RANK.failed`.
    case failed(rank: Int)
    /// The index of shards: `HASH.index`.
    case index(Hash128)

    private static let timeDigits = 15

    /// Parses a file name; nil for any other name.
    package init?(_ text: String) {
        let ends = text.split(separator: ".", omittingEmptySubsequences: false)
        guard ends.count == 2 else { return nil }
        let fields = ends[0].split(separator: "-", omittingEmptySubsequences: false)
        switch (ends[1], fields.count) {
        case ("part", 2):
            guard let rank = Decimal.value(of: fields[0], digits: 5),
                let worldSize = Decimal.value(of: fields[1], digits: 6), rank < worldSize
            else { return nil }
            self = .part(rank: rank, worldSize: worldSize)
        case ("begun", 3):
            guard let rank = Decimal.value(of: fields[0], digits: 5),
                let worldSize = Decimal.value(of: fields[1], digits: 6), rank < worldSize,
                let time = Decimal.value(of: fields[2], digits: Self.timeDigits)
            else { return nil }
            self = .begun(rank: rank, worldSize: worldSize, milliseconds: time)
        case ("failed", 1):
            guard let rank = Decimal.value(of: fields[0], digits: 5) else { return nil }
            self = .failed(rank: rank)
        case ("index", 1):
            guard let hash = Hash128(fields[0]) else { return nil }
            self = .index(hash)
        default: return nil
        }
    }

    package var description: String {
        switch self {
        case .part(let rank, let worldSize):
            Decimal.string(of: rank, digits: 5) + "-"
                + Decimal.string(of: worldSize, digits: 6) + ".part"
        case .begun(let rank, let worldSize, let milliseconds):
            Decimal.string(of: rank, digits: 5) + "-"
                + Decimal.string(of: worldSize, digits: 6) + "-"
                + Decimal.string(of: milliseconds, digits: Self.timeDigits) + ".begun"
        case .failed(let rank): "\(Decimal.string(of: rank, digits: 5)).failed"
        case .index(let hash): "\(hash).index"
        }
    }
}
