import CheckpointFormat
import Checkpointing
import CheckpointingTestSupport
@testable import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import Testing

@Suite("Retention rules", .timeLimit(.minutes(20)))
struct RetentionPlanTests {
    private let run = RunID(rawValue: 7 << 80)

    private func items(_ steps: [Int], _ values: [Double?] = []) -> [RetentionItem] {
        steps.enumerated().map { index, step in
            var item = RetentionItem(name: ManifestName(run: run, step: step), branch: run, created: step * 1000)
            if index < values.count, let value = values[index] { item.metrics["m"] = value }
            return item
        }
    }

    private func kept(_ items: [RetentionItem], now: Int = .max, _ change: (inout RetentionPolicy) -> Void) -> [Int] {
        var policy = RetentionPolicy()
        change(&policy)
        let removed = Set(RetentionPlan(items, policy, now: now).removed)
        return items.map(\.name).filter { !removed.contains($0) }.map(\.step)
    }

    @Test("each rule keeps what it says")
    func rules() {
        let steps = [0, 3, 10, 14, 20, 27, 31, 40]
        #expect(kept(items(steps)) { $0.keepLast = 2 } == [31, 40])
        #expect(kept(items(steps)) { $0.keepEvery = 10 } == [0, 10, 20, 31, 40])
        #expect(kept(items(steps)) { $0.keepEvery = 100 } == [0, 40])
        #expect(kept(items(steps)) { $0.keepWithin = 13 } == [27, 31, 40])
        // A clock that was ahead does not make a run's newest look younger than it is.
        #expect(kept(items(steps), now: 20_000) { $0.keepWithin = 6 } == [14, 20, 27, 31, 40])
        let values: [Double?] = [5, .nan, 1, 4, 1, nil, .infinity, 9]
        #expect(kept(items(steps, values)) { $0.keepBest = [.init(metric: "m", count: 1)] } == [20, 40])
        #expect(kept(items(steps, values)) { $0.keepBest = [.init(metric: "m", count: 2)] } == [10, 20, 40])
        #expect(kept(items(steps, values)) { $0.keepBest = [.init(metric: "m", count: 2, isLargest: true)] } == [31, 40])
        #expect(kept(items(steps, values)) { $0.keepBest = [.init(metric: "m", count: 99)] } == [0, 10, 14, 20, 31, 40])
        #expect(kept(items(steps)) { ($0.keepLast, $0.keepEvery) = (1, 20) } == [0, 20, 40])
        var tagged = items(steps)
        (tagged[1].tags, tagged[3].tags, tagged[5].isPinned) = (["good-1"], ["other"], true)
        #expect(kept(tagged) { $0.keepTags = ["good*"] } == [3, 14, 27, 40])
    }

    @Test("texts of rules", arguments: [
        ("loss:3", "loss", 3, false), ("a:b:2:max", "a:b", 2, true), ("loss:1:min", "loss", 1, false),
    ])
    func texts(_ text: String, _ metric: String, _ count: Int, _ isLargest: Bool) {
        #expect(RetentionPolicy.Best(text) == .init(metric: metric, count: count, isLargest: isLargest))
    }

    @Test("what is no rule", arguments: ["loss", ":3", "loss:", "loss:0", "loss:-1", "loss:x", "loss:max", ""])
    func noTexts(_ text: String) { #expect(RetentionPolicy.Best(text) == nil) }

    private func random(_ generator: inout SeededGenerator) -> (items: [RetentionItem], policy: RetentionPolicy) {
        var items: [RetentionItem] = []
        for run in 1...Int.random(in: 1...3, using: &generator) {
            let steps = (0..<Int.random(in: 1...12, using: &generator)).map { _ in Int.random(in: 0..<60, using: &generator) }
            for step in Set(steps).sorted() {
                let run = RunID(rawValue: UInt128(run) << 80)
                var item = RetentionItem(name: ManifestName(run: run, step: step), branch: run)
                item.created = Int.random(in: 0..<100_000, using: &generator)
                if Bool.random(using: &generator) { item.metrics["m"] = [.nan, 1, 2, 3, -.infinity].randomElement(using: &generator) }
                if Int.random(in: 0..<6, using: &generator) == 0 { item.tags = ["t"] }
                item.isPinned = Int.random(in: 0..<6, using: &generator) == 0
                items.append(item)
            }
        }
        var policy = RetentionPolicy()
        if Bool.random(using: &generator) { policy.keepLast = Int.random(in: 1...5, using: &generator) }
        if Bool.random(using: &generator) { policy.keepEvery = Int.random(in: 1...30, using: &generator) }
        if Bool.random(using: &generator) { policy.keepWithin = Double.random(in: 0..<100, using: &generator) }
        if Bool.random(using: &generator) {
            let isLargest = Bool.random(using: &generator)
            policy.keepBest = [.init(metric: "m", count: .random(in: 1...3, using: &generator), isLargest: isLargest)]
        }
        return (items, policy)
    }

    @Test("never the newest, pinned, tagged; more rules keep more; a second time removes nothing", arguments: 0..<400 as Range<UInt64>)
    func properties(seed: UInt64) {
        var generator = SeededGenerator(seed)
        let (items, policy) = random(&generator)
        let now = Int.random(in: 0..<120_000, using: &generator)
        let removed = Set(RetentionPlan(items, policy, now: now).removed)
        for item in items where removed.contains(item.name) {
            #expect(item.tags.isEmpty && !item.isPinned, "seed \(seed)")
            #expect(items.contains { $0.name.run == item.name.run && $0.name.step > item.name.step }, "seed \(seed)")
        }
        if let last = policy.keepLast {
            for run in Set(items.map(\.name.run)) {
                let ofRun = items.filter { $0.name.run == run }
                #expect(!ofRun.suffix(last).contains { removed.contains($0.name) }, "seed \(seed)")
            }
        }
        let kept = items.filter { !removed.contains($0.name) }
        #expect(RetentionPlan(kept, policy, now: now).removed.isEmpty, "seed \(seed)")
        // Later, the same rules keep no more than before.
        #expect(removed.isSubset(of: RetentionPlan(items, policy, now: now + 1000).removed), "seed \(seed)")
        var more = policy
        (more.keepTags, more.keepEvery) = (["t"], policy.keepEvery ?? 7)
        more.keepLast = (policy.keepLast ?? 0) + 1
        #expect(Set(RetentionPlan(items, more, now: now).removed).isSubset(of: removed), "seed \(seed)")
        // Whether a run has others beside it changes nothing for it.
        for run in Set(items.map(\.name.run)) {
            let alone = RetentionPlan(items.filter { $0.name.run == run }, policy, now: now).removed
            #expect(Set(alone) == removed.filter { $0.run == run }, "seed \(seed)")
        }
    }

    @Test("rules that leave nothing but the newest are told")
    func bare() {
        var policy = RetentionPolicy()
        policy.keepBest = [.init(metric: "none", count: 3)]
        #expect(RetentionPlan(items([1, 2, 3]), policy, now: 0).bareBranches(policy) == [run])
        #expect(RetentionPlan(items([1]), policy, now: 0).bareBranches(policy) == [])
        policy.keepLast = 1
        #expect(RetentionPlan(items([1, 2, 3]), policy, now: 0).bareBranches(policy) == [])
    }

    // MARK: Restarts and branches

    /// A checkpoint of restart `restart`.
    private func item(
        _ restart: Int, _ step: Int, branch: Int = 1, parent: (restart: Int, step: Int)? = nil, created: Int = 0
    ) -> RetentionItem {
        func id(_ number: Int) -> RunID { RunID(rawValue: UInt128(number) << 80) }
        return RetentionItem(
            name: ManifestName(run: id(restart), step: step), branch: id(branch),
            parent: parent.map { ManifestName(run: id($0.restart), step: $0.step) }, created: created)
    }

    private func removed(_ items: [RetentionItem], now: Int = 0, _ change: (inout RetentionPolicy) -> Void) -> [String] {
        var policy = RetentionPolicy()
        change(&policy)
        return RetentionPlan(items, policy, now: now).removed.map { "\($0.run.milliseconds):\($0.step)" }
    }

    @Test("the newest are counted across the restarts of a run")
    func restarts() {
        let items = [item(1, 10), item(2, 20, parent: (1, 10)), item(3, 30, parent: (2, 20))]
        #expect(removed(items) { $0.keepLast = 1 } == ["1:10", "2:20"])
        #expect(removed(items) { $0.keepLast = 2 } == ["1:10"])
    }

    @Test("what a later restart went back behind is not counted, and goes")
    func superseded() {
        let items = [
            item(1, 10), item(1, 20), item(1, 30), item(2, 21, parent: (1, 20)), item(2, 30, parent: (1, 20)),
        ]
        #expect(removed(items) { $0.keepLast = 3 } == ["1:10", "1:30"])
        // The parent is gone: what is older than it still counts.
        let rest = [item(1, 10), item(2, 21, parent: (1, 20)), item(3, 30, parent: (2, 21))]
        #expect(removed(rest) { $0.keepLast = 3 } == [])
    }

    @Test("a branch counts as a run")
    func branches() {
        let items = [item(1, 10), item(1, 20), item(2, 15, branch: 2, parent: (1, 10)), item(2, 25, branch: 2, parent: (1, 10))]
        #expect(removed(items) { $0.keepLast = 1 } == ["1:10", "2:15"])
    }

    @Test("a damaged checkpoint does not count, and stays while it is among those that do")
    func damaged() {
        var items = [item(1, 10), item(1, 20), item(1, 30)]
        items[2].isDamaged = true
        #expect(removed(items) { $0.keepLast = 1 } == ["1:10"])
        items[1].isDamaged = true
        #expect(removed(items) { $0.keepLast = 1 } == [])
    }

    @Test("rules for whole runs")
    func runs() {
        let items = [
            item(1, 10, created: 1000), item(2, 0, branch: 2, created: 9000), item(3, 5, branch: 3, created: 5000),
            item(3, 6, branch: 3, created: 6000),
        ]
        #expect(removed(items, now: 10_000) { $0.keepRuns = 1 } == ["1:10", "3:5", "3:6"])
        #expect(removed(items, now: 10_000) { $0.keepRuns = 2 } == ["1:10"])
        #expect(removed(items, now: 10_000) { ($0.keepRuns, $0.keepLast) = (2, 1) } == ["1:10", "3:5"])
        #expect(removed(items, now: 10_000) { $0.keepRunsWithin = 4 } == ["1:10"])
        #expect(removed(items, now: 99_000) { $0.keepRunsWithin = 4 } == ["1:10", "3:5", "3:6"])
        var pinned = items
        (pinned[0].isPinned, pinned[2].tags) = (true, ["good"])
        #expect(removed(pinned, now: 10_000) { $0.keepRuns = 1 } == ["3:6"])
    }
}
