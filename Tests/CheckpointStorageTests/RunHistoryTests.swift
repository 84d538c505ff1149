import CheckpointCatalog
import CheckpointFormat
@testable import CheckpointStorage
import CheckpointTestSupport
import Testing

/// A store made up of saves, restarts, branches, imports, copies and damage, as random as a seed.
struct MadeUpStore {
    static let id = StoreID(rawValue: 1)
    private(set) var members: [RunMember] = []
    private(set) var pinned: Set<ManifestName> = []
    private(set) var tagged: Set<ManifestName> = []
    private(set) var damaged: Set<ManifestName> = []
    private var clock = 1_000

    var history: RunHistory { RunHistory(members, unreadable: [], store: Self.id, defaultName: "store") }

    init(_ generator: inout SeededGenerator) {
        for _ in 0..<Int.random(in: 1...12, using: &generator) { live(&generator) }
    }

    private var nextRestart: RunID {
        RunID.next(clockMilliseconds: UInt64(clock), after: members.map(\.name.run).max())
    }

    /// One life of a process: training, an import or a copy.
    private mutating func live(_ generator: inout SeededGenerator) {
        let restart = nextRestart
        switch Int.random(in: 0..<8, using: &generator) {
        case 0: add(restart, "pretrained", [0], .imported, Self.id)
        case 1: add(restart, "a", [Int.random(in: 0..<99, using: &generator)], .training, StoreID(rawValue: 2))
        default: train(restart, ["a", "b"].randomElement(using: &generator) ?? "a", &generator)
        }
        for member in members where Int.random(in: 0..<12, using: &generator) == 0 {
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: pinned.insert(member.name)
            case 1: tagged.insert(member.name)
            default: damaged.insert(member.name)
            }
        }
        members.sort { $0.name < $1.name }
    }

    private mutating func add(_ restart: RunID, _ run: String, _ steps: [Int], _ kind: CheckpointOrigin.Kind, _ store: StoreID) {
        for step in steps {
            clock += 10
            members.append(
                RunMember(
                    name: ManifestName(run: restart, step: step), runName: run, created: clock, parent: nil,
                    origin: .init(kind: kind, store: store, run: restart, branch: restart, restart: 0)))
        }
    }

    private mutating func train(_ restart: RunID, _ run: String, _ generator: inout SeededGenerator) {
        var place = history.place(of: restart, in: run)
        var parent: ManifestName?
        let line = history.line(of: run)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: break  // From scratch.
        case 1:  // From any checkpoint, by request.
            parent = members.map(\.name).randomElement(using: &generator)
        default:  // The newest that is intact.
            parent = line.first { !damaged.contains($0) }
            if parent != nil, let branch = history.branch(of: run) { place.branch = branch }
        }
        var step = parent?.step ?? 0
        for _ in 0..<Int.random(in: 0...4, using: &generator) {
            step += Int.random(in: 1...5, using: &generator)
            clock += 10
            members.append(
                RunMember(
                    name: ManifestName(run: restart, step: step), runName: run, created: clock, parent: parent, origin: place))
        }
        members.sort { $0.name < $1.name }
    }

    /// Removes checkpoints, as retention does.
    mutating func remove(_ names: [ManifestName]) { members.removeAll { names.contains($0.name) } }

    var items: [RetentionItem] {
        members.map { member in
            var item = RetentionItem(member)
            item.isPinned = pinned.contains(member.name)
            item.tags = tagged.contains(member.name) ? ["t"] : []
            item.isDamaged = damaged.contains(member.name)
            return item
        }
    }
}

@Suite("Runs", .timeLimit(.minutes(20)))
struct RunHistoryTests {
    private static let store = StoreID(rawValue: 1)

    private func id(_ number: Int) -> RunID { RunID(rawValue: UInt128(number) << 80) }

    private func member(
        _ restart: Int, _ step: Int, branch: Int = 1, run: String = "a", parent: (Int, Int)? = nil,
        kind: CheckpointOrigin.Kind = .training, store: StoreID = Self.store
    ) -> RunMember {
        RunMember(
            name: ManifestName(run: id(restart), step: step), runName: run, created: restart * 1000 + step,
            parent: parent.map { ManifestName(run: id($0.0), step: $0.1) },
            origin: .init(kind: kind, store: store, run: id(1), branch: id(branch), restart: restart - 1))
    }

    private func history(_ members: [RunMember], unreadable: [ManifestName] = []) -> RunHistory {
        RunHistory(members, unreadable: unreadable, store: Self.store, defaultName: "store")
    }

    private func line(_ history: RunHistory, _ run: String = "a") -> [String] {
        history.line(of: run).map { "\($0.run.milliseconds):\($0.step)" }
    }

    @Test("a run is resumed along its line, through restarts and into the branch it came from")
    func lines() {
        #expect(line(history([])) == [])
        #expect(line(history([member(1, 10), member(1, 20), member(2, 30, parent: (1, 20))])) == ["2:30", "1:20", "1:10"])
        // Restart 2 went back behind step 30.
        let back = [member(1, 10), member(1, 20), member(1, 30), member(2, 25, parent: (1, 20))]
        #expect(line(history(back)) == ["2:25", "1:20", "1:10"])
        // Restart 3 is a branch from step 10.
        let branched = back + [member(3, 11, branch: 3, parent: (1, 10))]
        #expect(line(history(branched)) == ["3:11", "1:10"])
        // The branch that restart 3 began was damaged altogether, so restart 4 went on from where it began.
        let lost = branched + [member(4, 12, branch: 3, parent: (1, 10))]
        #expect(line(history(lost)) == ["4:12", "1:10"])
        // A run that starts from scratch is a branch with nothing before it.
        #expect(line(history(back + [member(3, 5, branch: 3)])) == ["3:5"])
    }

    @Test("training reuses what training in this store has saved, and an import everything")
    func reusable() {
        let all = [
            member(1, 10), member(2, 99, branch: 2, kind: .imported), member(3, 98, branch: 3, store: StoreID(rawValue: 2)),
            member(4, 97, branch: 4, kind: .salvaged), member(5, 20, run: "b"),
        ]
        #expect(history(all).reusable(by: .training) == [all[0].name, all[4].name])
        #expect(history(all).reusable(by: .imported) == all.map(\.name))
    }

    @Test("imports, copies, salvaged checkpoints and other runs are not in the line")
    func foreign() {
        let members = [
            member(1, 10), member(2, 99, branch: 2, kind: .imported), member(3, 98, branch: 3, store: StoreID(rawValue: 2)),
            member(4, 97, branch: 4, run: "b"), member(5, 96, branch: 5, kind: .salvaged),
        ]
        let history = history(members)
        #expect(line(history) == ["1:10"])
        #expect(history.ownNames == ["b", "a"])
        let passed = history.passedOver(newerThan: members[0].name, at: members[0].created, in: "a", line: history.line(of: "a"))
        #expect(passed.map(\.reason) == [.salvaged, .otherRun, .copied, .imported])
    }

    @Test("checkpoints that cannot be read are tried unless they are another run's")
    func unreadable() {
        let members = [member(1, 10), member(1, 20), member(2, 5, branch: 2, run: "b")]
        let lost = [ManifestName(run: id(1), step: 30), ManifestName(run: id(2), step: 6), ManifestName(run: id(3), step: 40)]
        #expect(line(history(members, unreadable: lost)) == ["3:40", "1:30", "1:20", "1:10"])
        #expect(line(history([], unreadable: lost)) == ["3:40", "2:6", "1:30"])
        // Nothing says where restart 2 came from, so an earlier branch is better than nothing.
        let scratch = [member(1, 10), member(2, 7, branch: 2)]
        #expect(line(history(scratch, unreadable: [ManifestName(run: id(2), step: 5)])) == ["2:7", "2:5", "1:10"])
    }

    @Test("the name of a run that nobody names")
    func names() throws {
        #expect(try history([]).chooseName(nil) == "store")
        #expect(try history([member(1, 1)]).chooseName(nil) == "a")
        #expect(try history([member(1, 1), member(2, 1, branch: 2, run: "store")]).chooseName(nil) == "store")
        #expect(try history([member(1, 1), member(2, 1, branch: 2, run: "")]).chooseName(nil) == "store")
        #expect(try history([member(1, 1), member(2, 1, run: "b", kind: .imported)]).chooseName(nil) == "a")
        let two = history([member(1, 1), member(2, 1, branch: 2, run: "b")])
        #expect(throws: CheckpointError.self) { try two.chooseName(nil) }
        #expect(try two.chooseName("c") == "c")
    }

    @Test("restarts are numbered across the run")
    func places() {
        let first = history([]).place(of: id(7), in: "a")
        #expect(first == .init(kind: .training, store: Self.store, run: id(7), branch: id(7), restart: 0))
        let next = history([member(1, 10), member(3, 10, branch: 3)]).place(of: id(7), in: "a")
        #expect(next == .init(kind: .training, store: Self.store, run: id(1), branch: id(7), restart: 3))
    }

    @Test("retention over random histories", arguments: 0..<300 as Range<UInt64>)
    func retention(seed: UInt64) {
        var generator = SeededGenerator(seed)
        var store = MadeUpStore(&generator)
        var policy = RetentionPolicy()
        policy.keepLast = Int.random(in: 1...4, using: &generator)
        if Bool.random(using: &generator) { policy.keepEvery = Int.random(in: 1...9, using: &generator) }
        if Bool.random(using: &generator) { policy.keepRuns = Int.random(in: 1...4, using: &generator) }
        let items = store.items
        let plan = RetentionPlan(items, policy, now: 100_000)
        let removed = Set(plan.removed)
        for item in items where removed.contains(item.name) {
            #expect(!item.isPinned && item.tags.isEmpty, "seed \(seed)")
        }
        checkNewest(store, items, removed, policy, seed)
        // More rules keep more.
        var more = policy
        (more.keepLast, more.keepWithin) = ((policy.keepLast ?? 0) + 1, 0.02)
        if let runs = more.keepRuns { more.keepRuns = runs + 1 }
        #expect(Set(RetentionPlan(items, more, now: 100_000).removed).isSubset(of: removed), "seed \(seed)")
        // The trainer looks at its own branch only, without marks, and spares what has one.
        var own = RetentionPolicy()
        own.keepLast = policy.keepLast
        let tool = Set(RetentionPlan(items, own, now: 100_000).removed)
        for branch in Set(items.map(\.branch)) {
            let mine = items.filter { $0.branch == branch }
            let protected = Set(mine.filter { $0.isPinned || !$0.tags.isEmpty }.map(\.name))
            var bare = mine
            for index in bare.indices { (bare[index].isPinned, bare[index].tags) = (false, []) }
            let trainer = Set(RetentionPlan(bare, own, now: 0).removed).subtracting(protected)
            #expect(trainer == tool.intersection(mine.map(\.name)), "seed \(seed)")
        }
        // A second time, the same rules remove nothing, and every run goes on from where it was.
        let before = ["a", "b"].map { run in store.history.line(of: run).first { !store.damaged.contains($0) } }
        store.remove(Array(tool))
        #expect(RetentionPlan(store.items, own, now: 100_000).removed.isEmpty, "seed \(seed)")
        let after = ["a", "b"].map { run in store.history.line(of: run).first { !store.damaged.contains($0) } }
        for (before, after) in zip(before, after) where before != nil { #expect(before == after, "seed \(seed)") }
    }

    /// The newest intact checkpoint of each branch stays, unless the rule for whole runs gives up
    /// the branch; that of the branch saved to last stays in any case.
    private func checkNewest(
        _ store: MadeUpStore, _ items: [RetentionItem], _ removed: Set<ManifestName>, _ policy: RetentionPolicy, _ seed: UInt64
    ) {
        let branches = Dictionary(grouping: items, by: \.branch)
        let byAge = branches.sorted { ($0.value.map(\.created).max() ?? 0) > ($1.value.map(\.created).max() ?? 0) }
        for (_, members) in byAge.prefix(policy.keepRuns ?? .max) {
            let line = BranchLine(members.map { .init(name: $0.name, parent: $0.parent) }).indices.map { members[$0] }
            guard let newest = line.first(where: { !$0.isDamaged }) else { continue }
            #expect(!removed.contains(newest.name), "seed \(seed)")
        }
    }
}
