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
    var mistake: String? {
        if let keepLast, keepLast < 1 { return "keepLast is \(keepLast), not 1 or more" }
        if let keepEvery, keepEvery < 1 { return "keepEvery is \(keepEvery), not 1 or more" }
        if let keepWithin, !(keepWithin >= 0) { return "keepWithin is \(keepWithin), not 0 or more" }
        return nil
    }

    /// Whether there is no rule.
    public var isEmpty: Bool { keepLast == nil && keepEvery == nil && keepWithin == nil && keepBest.isEmpty && keepTags.isEmpty }
}

/// What retention knows of a checkpoint.
struct RetentionItem {
    var name: ManifestName
    /// Milliseconds since 1970.
    var created = 0
    var metrics: [String: Double] = [:]
    var tags: [String] = []
    var isPinned = false
}

/// What stays and what goes, each with the reasons: pure.
struct RetentionPlan {
    /// Why a checkpoint stays; none means that it goes.
    enum Reason: Hashable, CustomStringConvertible {
        case newest, pinned, tagged(String)
        case last, every, within, best(String), tag(String)

        /// Whether a rule says so, and not what holds whatever the rules.
        var isRule: Bool {
            switch self {
            case .newest, .pinned, .tagged: false
            case .last, .every, .within, .best, .tag: true
            }
        }

        var description: String {
            switch self {
            case .newest: "newest of its run"
            case .pinned: "pinned"
            case .tagged(let tag): "tag \(tag)"
            case .last: "keep-last"
            case .every: "keep-every"
            case .within: "keep-within"
            case .best(let metric): "keep-best \(metric)"
            case .tag(let pattern): "keep-tag \(pattern)"
            }
        }
    }

    /// By index of the item.
    private(set) var reasons: [[Reason]]
    let items: [RetentionItem]

    /// - Parameters:
    ///   - items: oldest first.
    ///   - now: milliseconds since 1970.
    init(_ items: [RetentionItem], _ policy: RetentionPolicy, now: Int) {
        self.items = items
        reasons = items.map { item in (item.isPinned ? [.pinned] : []) + item.tags.map { .tagged($0) } }
        for run in Dictionary(grouping: items.indices, by: { items[$0].name.run }).values { keep(run.sorted(), policy, now) }
    }

    /// Names of what goes, oldest first.
    var removed: [ManifestName] { items.indices.filter { reasons[$0].isEmpty }.map { items[$0].name } }

    /// Runs of which the rules would leave nothing but the newest checkpoint, though nobody asked for that by `keepLast`.
    func bareRuns(_ policy: RetentionPolicy) -> [RunID] {
        guard policy.keepLast == nil else { return [] }
        return Dictionary(grouping: items.indices, by: { items[$0].name.run }).filter { _, run in
            let isKeptByRule = run.contains { !reasons[$0].contains(.newest) && reasons[$0].contains(where: \.isRule) }
            return !isKeptByRule && run.contains { reasons[$0].isEmpty }
        }.keys.sorted()
    }

    /// - Parameter run: indices of one run's items, oldest first.
    private mutating func keep(_ run: [Int], _ policy: RetentionPolicy, _ now: Int) {
        guard let newest = run.last else { return }
        reasons[newest].append(.newest)
        for index in run.suffix(policy.keepLast ?? 0) { reasons[index].append(.last) }
        if let every = policy.keepEvery { keep(run, every: every) }
        if let within = policy.keepWithin {
            let end = min(Double(items[newest].created), Double(now)) - within * 1000
            for index in run where Double(items[index].created) >= end { reasons[index].append(.within) }
        }
        for best in policy.keepBest { keep(run, best) }
        for pattern in policy.keepTags {
            for index in run where items[index].tags.contains(where: NamePattern(pattern).matches) {
                reasons[index].append(.tag(pattern))
            }
        }
    }

    private mutating func keep(_ run: [Int], every steps: Int) {
        var last: Int?
        for index in run where items[index].name.step / steps != last {
            reasons[index].append(.every)
            last = items[index].name.step / steps
        }
    }

    private mutating func keep(_ run: [Int], _ best: RetentionPolicy.Best) {
        let known = run.compactMap { index in
            items[index].metrics[best.metric].flatMap { $0.isNaN ? nil : (index: index, value: best.isLargest ? -$0 : $0) }
        }
        let sorted = known.sorted { ($0.value, $1.index) < ($1.value, $0.index) }
        for (index, _) in sorted.prefix(best.count) { reasons[index].append(.best(best.metric)) }
    }
}
