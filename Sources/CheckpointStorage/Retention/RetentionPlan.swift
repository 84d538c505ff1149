package import CheckpointFormat

/// Decision for each checkpoint to keep or remove it, with the reasons. Pure.
package struct RetentionPlan {
    /// Reason to keep a checkpoint. A checkpoint without any is removed.
    package enum Reason: Hashable, CustomStringConvertible {
        case newest, pinned
        case tagged(String)
        case damaged
        case run, last, every, within
        case best(String)
        case tag(String)

        /// True for a rule of the policy; false for reasons that hold under every policy.
        package var isRule: Bool {
            switch self {
            case .newest, .pinned, .tagged, .damaged: false
            case .run, .last, .every, .within, .best, .tag: true
            }
        }

        package var description: String {
            switch self {
            case .newest: "newest of its run"
            case .pinned: "pinned"
            case .tagged(let tag): "tag \(tag)"
            case .damaged: "damaged: ckpt repair"
            case .run: "keep-runs"
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
    /// Indices of the items of each branch, in order of name.
    private let branches: [RunID: [Int]]

    /// Applies a policy to each branch separately: to a run across its restarts.
    ///
    /// - Parameters:
    ///   - items: checkpoints in order of name, oldest first.
    ///   - policy: the rules.
    ///   - now: current time in milliseconds since 1970.
    package init(_ items: [RetentionItem], _ policy: RetentionPolicy, now: Int) {
        self.items = items
        reasons = items.map { item in
            (item.isPinned ? [.pinned] : []) + item.tags.map { .tagged($0) }
        }
        branches = Dictionary(grouping: items.indices, by: { items[$0].branch })
        let kept = keptBranches(policy, now)
        for (branch, members) in branches where kept.contains(branch) { keep(members, policy, now) }
    }

    /// Names of the checkpoints to remove, oldest first.
    package var removed: [ManifestName] {
        items.indices.filter { reasons[$0].isEmpty }.map { items[$0].name }
    }

    /// Returns the branches that the rules would reduce to their newest checkpoint without
    /// `keepLast` asking for that.
    ///
    /// - Parameter policy: the rules that the plan was made with.
    package func bareBranches(_ policy: RetentionPolicy) -> [RunID] {
        guard policy.keepLast == nil, !policy.keepsAllOfARun else { return [] }
        return branches.filter { _, members in
            guard members.contains(where: { reasons[$0].contains(.newest) }) else { return false }
            let isKeptByRule = members.contains {
                !reasons[$0].contains(.newest) && reasons[$0].contains(where: \.isRule)
            }
            return !isKeptByRule && members.contains { reasons[$0].isEmpty }
        }.keys.sorted()
    }

    /// Returns the branches that the rules for runs keep: all if there is no such rule, and
    /// always the one with the most recent save.
    private func keptBranches(_ policy: RetentionPolicy, _ now: Int) -> Set<RunID> {
        guard policy.keepRuns != nil || policy.keepRunsWithin != nil else {
            return Set(branches.keys)
        }
        let byAge = branches.map { (branch: $0, newest: $1.map { items[$0].created }.max() ?? 0) }
            .sorted { ($1.newest, $1.branch) < ($0.newest, $0.branch) }
        let count = max(policy.keepRuns ?? 0, 1)
        let end = policy.keepRunsWithin.map { Double(now) - $0 * 1000 } ?? .infinity
        return Set(
            byAge.enumerated().filter { $0 < count || Double($1.newest) >= end }.map(
                \.element.branch))
    }

    /// Applies the rules to one branch.
    ///
    /// Checkpoints that a later restart superseded are counted by no rule that counts; neither are
    /// damaged ones, which stay while they are newer than the oldest that `keepLast` keeps.
    ///
    /// - Parameter members: indices of the branch's items in order of name.
    private mutating func keep(_ members: [Int], _ policy: RetentionPolicy, _ now: Int) {
        let walk = BranchLine(
            members.map { BranchLine.Member(name: items[$0].name, parent: items[$0].parent) })
        let line = walk.indices.reversed().map { members[$0] }
        let intact = line.filter { !items[$0].isDamaged }
        guard let newest = intact.last ?? line.last ?? members.last else { return }
        reasons[newest].append(.newest)
        if policy.keepsAllOfARun {
            for index in members { reasons[index].append(.run) }
            return
        }
        for index in intact.suffix(policy.keepLast ?? 0) { reasons[index].append(.last) }
        if let oldest = intact.suffix(max(policy.keepLast ?? 0, 1)).first {
            for index in line where index > oldest && items[index].isDamaged {
                reasons[index].append(.damaged)
            }
        }
        if let every = policy.keepEvery { keep(intact, every: every) }
        if let within = policy.keepWithin {
            let end = min(Double(items[newest].created), Double(now)) - within * 1000
            for index in members where Double(items[index].created) >= end {
                reasons[index].append(.within)
            }
        }
        for best in policy.keepBest { keep(members.filter { !items[$0].isDamaged }, best) }
        for pattern in policy.keepTags {
            for index in members
            where items[index].tags.contains(where: NamePattern(pattern).matches) {
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
            items[index].metrics[best.metric].flatMap {
                $0.isNaN ? nil : (index: index, value: best.isLargest ? -$0 : $0)
            }
        }
        let sorted = known.sorted { ($0.value, $1.index) < ($1.value, $0.index) }
        for (index, _) in sorted.prefix(best.count) { reasons[index].append(.best(best.metric)) }
    }
}
