internal import CheckpointFormat

/// Rules for the checkpoints of each run to keep.
///
/// A checkpoint stays if at least one rule keeps it. Each run is counted separately, across its
/// restarts; a branch of a run counts as a run.
public struct RetentionPolicy: Sendable {
    /// A rule that keeps the checkpoints with the best values of a metric.
    public struct Best: Sendable, Hashable {
        /// Name of the metric. NaN is never best; of equal values, the newest wins.
        public var metric: String
        /// Number of checkpoints to keep.
        public var count: Int
        /// True if the largest value is best.
        public var isLargest: Bool

        /// Creates a rule.
        ///
        /// - Parameters:
        ///   - metric: name of the metric.
        ///   - count: number of checkpoints to keep, at least 1.
        ///   - isLargest: whether the largest value is best.
        public init(metric: String, count: Int, isLargest: Bool = false) {
            precondition(count >= 1)
            (self.metric, self.count, self.isLargest) = (metric, count, isLargest)
        }

        /// Parses `METRIC:N`, `METRIC:N:min` or `METRIC:N:max`.
        ///
        /// - Parameter text: the rule.
        /// - Returns: nil if the text has another form.
        public init?(_ text: String) {
            let isLargest = text.hasSuffix(":max")
            let rest = isLargest || text.hasSuffix(":min") ? text.dropLast(4) : text[...]
            guard let colon = rest.lastIndex(of: ":"), colon > rest.startIndex,
                let count = Int(rest[rest.index(after: colon)...]),
                count >= 1
            else { return nil }
            self.init(metric: String(rest[..<colon]), count: count, isLargest: isLargest)
        }
    }

    /// Keeps the newest N checkpoints; nil: no such rule.
    public var keepLast: Int?
    /// Keeps the first checkpoint of every K steps: those of steps 0, K, 2K and so on, or the next
    /// one after such a step if it has none; nil: no such rule.
    public var keepEvery: Int?
    /// Keeps checkpoints made within this many seconds before the newest of their run, or before
    /// now if that is earlier.
    public var keepWithin: Double?
    /// Keeps the best checkpoints by these metrics.
    public var keepBest: [Best] = []
    /// Keeps checkpoints with a tag that matches one of these patterns. Every tagged checkpoint
    /// stays anyway; here the tag counts as a rule.
    public var keepTags: [String] = []

    /// Keeps the N runs with the most recent saves, and removes all others except tagged and pinned
    /// checkpoints; nil: no such rule. Imports under one name count as one run.
    public var keepRuns: Int?
    /// Keeps runs with a save at most this many seconds before now; nil: no such rule. The
    /// run with the most recent save stays in any case.
    public var keepRunsWithin: Double?

    /// Creates a policy without rules.
    public init() {}

    /// Description of an invalid number in the policy; nil if all are valid.
    package var mistake: String? {
        if let keepLast, keepLast < 1 { return "keepLast must be at least 1 (got \(keepLast))" }
        if let keepEvery, keepEvery < 1 { return "keepEvery must be at least 1 (got \(keepEvery))" }
        if let keepWithin, !(keepWithin >= 0) {
            return "keepWithin must be at least 0 (got \(keepWithin))"
        }
        if let keepRuns, keepRuns < 1 { return "keepRuns must be at least 1 (got \(keepRuns))" }
        if let keepRunsWithin, !(keepRunsWithin >= 0) {
            return "keepRunsWithin must be at least 0 (got \(keepRunsWithin))"
        }
        return nil
    }

    /// True if the only rules are those for runs: then a kept run keeps all of its
    /// checkpoints.
    package var keepsAllOfARun: Bool { !isEmpty && !hasCheckpointRule }

    private var hasCheckpointRule: Bool {
        keepLast != nil || keepEvery != nil || keepWithin != nil || !keepBest.isEmpty
            || !keepTags.isEmpty
    }

    /// True if the policy has no rule.
    public var isEmpty: Bool { !hasCheckpointRule && keepRuns == nil && keepRunsWithin == nil }
}
