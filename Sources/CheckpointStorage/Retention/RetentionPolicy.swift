internal import CheckpointFormat

/// Which checkpoints of each run stay. A checkpoint stays if any of the rules keeps it; each run counts for itself.
public struct RetentionPolicy: Sendable {
    /// A rule that keeps the best.
    public struct Best: Sendable, Hashable {
        /// Whose value decides; NaN is never best, and of equals the newest is.
        public var metric: String
        /// How many stay.
        public var count: Int
        /// Whether the largest value is best.
        public var isLargest: Bool

        /// - Parameter count: at least 1.
        public init(metric: String, count: Int, isLargest: Bool = false) {
            precondition(count >= 1)
            (self.metric, self.count, self.isLargest) = (metric, count, isLargest)
        }

        /// Parses `METRIC:N`, `METRIC:N:min` or `METRIC:N:max`.
        public init?(_ text: String) {
            let isLargest = text.hasSuffix(":max")
            let rest = isLargest || text.hasSuffix(":min") ? text.dropLast(4) : text[...]
            guard let colon = rest.lastIndex(of: ":"), colon > rest.startIndex, let count = Int(rest[rest.index(after: colon)...]),
                count >= 1
            else { return nil }
            self.init(metric: String(rest[..<colon]), count: count, isLargest: isLargest)
        }
    }

    /// The newest so many stay.
    public var keepLast: Int?
    /// Of each so many steps the first checkpoint stays: those of steps 0, K, 2K and so on, or the next after one that is not there.
    public var keepEvery: Int?
    /// Seconds: what was made so shortly before the newest of its run stays, and before now if that is earlier.
    public var keepWithin: Double?
    /// The best stay.
    public var keepBest: [Best] = []
    /// Those with a tag that matches stay. (All with a tag do; this makes a rule of it.)
    public var keepTags: [String] = []

    /// No rule at all.
    public init() {}

    /// What cannot be meant, or nil.
    package var mistake: String? {
        if let keepLast, keepLast < 1 { return "keepLast is \(keepLast), not 1 or more" }
        if let keepEvery, keepEvery < 1 { return "keepEvery is \(keepEvery), not 1 or more" }
        if let keepWithin, !(keepWithin >= 0) { return "keepWithin is \(keepWithin), not 0 or more" }
        return nil
    }

    /// Whether there is no rule.
    public var isEmpty: Bool { keepLast == nil && keepEvery == nil && keepWithin == nil && keepBest.isEmpty && keepTags.isEmpty }
}
