package import CheckpointFormat

/// Decision for each checkpoint to keep or remove it, with the reasons. Pure.
package struct RetentionPlan {
    /// Reason to keep a checkpoint. A checkpoint without any is removed.
    package enum Reason: Hashable, CustomStringConvertible {
        case newest, pinned, tagged(String)
        case last, every, within, best(String), tag(String)

        /// True for a rule of the policy; false for reasons that hold under every policy.
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

    /// Reasons by index of the item.
    package private(set) var reasons: [[Reason]]
    package let items: [RetentionItem]

    /// Applies a policy to each run separately.
    ///
    /// - Parameters:
    ///   - items: checkpoints, oldest first.
    ///   - policy: the rules.
    ///   - now: current time in milliseconds since 1970.
    package init(_ items: [RetentionItem], _ policy: RetentionPolicy, now: Int) {
        self.items = items
        reasons = items.map { item in (item.isPinned ? [.pinned] : []) + item.tags.map { .tagged($0) } }
        for run in Dictionary(grouping: items.indices, by: { items[$0].name.run }).values { keep(run.sorted(), policy, now) }
    }

    /// Names of the checkpoints to remove, oldest first.
    package var removed: [ManifestName] { items.indices.filter { reasons[$0].isEmpty }.map { items[$0].name } }

    /// Returns the runs that the rules would reduce to their newest checkpoint without `keepLast`
    /// asking for that.
    ///
    /// - Parameter policy: the rules that the plan was made with.
    package func bareRuns(_ policy: RetentionPolicy) -> [RunID] {
        guard policy.keepLast == nil else { return [] }
        return Dictionary(grouping: items.indices, by: { items[$0].name.run }).filter { _, run in
            let isKeptByRule = run.contains { !reasons[$0].contains(.newest) && reasons[$0].contains(where: \.isRule) }
            return !isKeptByRule && run.contains { reasons[$0].isEmpty }
        }.keys.sorted()
    }

    /// Applies the rules to one run.
    ///
    /// - Parameter run: indices of the run's items, oldest first.
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
