package import CheckpointFormat

/// What stays and what goes, each with the reasons: pure.
package struct RetentionPlan {
    /// Why a checkpoint stays; none means that it goes.
    package enum Reason: Hashable, CustomStringConvertible {
        case newest, pinned, tagged(String)
        case last, every, within, best(String), tag(String)

        /// Whether a rule says so, and not what holds whatever the rules.
        package var isRule: Bool {
            switch self {
            case .newest, .pinned, .tagged: false
            case .last, .every, .within, .best, .tag: true
            }
        }

        package var description: String {
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
    package private(set) var reasons: [[Reason]]
    package let items: [RetentionItem]

    /// - Parameters:
    ///   - items: oldest first.
    ///   - now: milliseconds since 1970.
    package init(_ items: [RetentionItem], _ policy: RetentionPolicy, now: Int) {
        self.items = items
        reasons = items.map { item in (item.isPinned ? [.pinned] : []) + item.tags.map { .tagged($0) } }
        for run in Dictionary(grouping: items.indices, by: { items[$0].name.run }).values { keep(run.sorted(), policy, now) }
    }

    /// Names of what goes, oldest first.
    package var removed: [ManifestName] { items.indices.filter { reasons[$0].isEmpty }.map { items[$0].name } }

    /// Runs of which the rules would leave nothing but the newest checkpoint, though nobody asked for that by `keepLast`.
    package func bareRuns(_ policy: RetentionPolicy) -> [RunID] {
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
