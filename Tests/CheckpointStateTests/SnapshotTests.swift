import CheckpointState
import CheckpointTestSupport
import Testing

/// Every order of take, finish and cancel of a small snapshot, against a model that remembers each block by itself.
@Suite("Snapshot state machine", .timeLimit(.minutes(20)))
struct SnapshotTests {
    private enum Block { case pending, capturing, captured, dropped }

    /// The machine under test beside the model.
    private struct Pair {
        var machine: SnapshotStateMachine
        var blocks: [Block]
        let groups: [Int]
        let groupCount: Int
        var isCancelled = false

        init(_ counts: [Int]) {
            groups = counts.enumerated().flatMap { [Int](repeating: $0.offset, count: $0.element) }
            groupCount = counts.count
            blocks = groups.map { _ in .pending }
            machine = SnapshotStateMachine(blocks: groups.map { (UnitIndex($0), .host) }, unitCount: counts.count)
        }

        /// Blocks that a take may give: those of the group, or all, in order.
        func pending(_ group: Int?) -> Int? {
            blocks.indices.first { blocks[$0] == .pending && (group == nil || groups[$0] == group) }
        }

        func isReleased(_ group: Int?) -> Bool {
            blocks.indices.allSatisfy {
                blocks[$0] == .captured || blocks[$0] == .dropped || (group != nil && groups[$0] != group)
            }
        }

        func check() -> Bool {
            ([nil] + (0..<groupCount).map { $0 }).allSatisfy { group in
                machine.isReleased(group.map { UnitIndex($0) }) == isReleased(group)
            }
        }

        mutating func take(_ group: Int?) -> Bool {
            let expected = pending(group)
            if let expected { blocks[expected] = .capturing }
            let unit = group.map { UnitIndex($0) }
            return machine.hasPending(in: .host, of: unit) == (expected != nil)
                && machine.take(by: .host, of: unit) == expected.map { BlockIndex($0) }
        }

        mutating func finish(_ block: Int) {
            machine.finish(BlockIndex(block))
            blocks[block] = .captured
        }

        mutating func cancel() {
            machine.cancel()
            isCancelled = true
            for block in blocks.indices where blocks[block] == .pending { blocks[block] = .dropped }
        }

        var isOver: Bool { blocks.allSatisfy { $0 == .captured || $0 == .dropped } }
    }

    private struct Tally {
        var ends = 0
        var wrong = 0
        var cancelled = 0
    }

    /// Walks every continuation; a cancel may come at any point, once.
    private func explore(_ pair: Pair, _ tally: inout Tally) {
        if !pair.check() { tally.wrong += 1 }
        if pair.isOver {
            tally.ends += 1
            if pair.isCancelled { tally.cancelled += 1 }
            var last = pair
            // Nothing is left to take, and a second cancel changes nothing.
            last.machine.cancel()
            if last.machine.take(by: .host) != nil || !last.machine.isReleased() { tally.wrong += 1 }
            return
        }
        for group in [nil, 0, 1] as [Int?] where pair.pending(group) != nil {
            var next = pair
            if !next.take(group) { tally.wrong += 1 }
            explore(next, &tally)
        }
        for block in pair.blocks.indices where pair.blocks[block] == .capturing {
            var next = pair
            next.finish(block)
            explore(next, &tally)
        }
        for block in pair.blocks.indices where pair.blocks[block] == .pending && pair.blocks.count < 4 {
            var next = pair
            if !next.machine.isPending(BlockIndex(block)) { tally.wrong += 1 }
            next.machine.take(BlockIndex(block))
            next.blocks[block] = .capturing
            explore(next, &tally)
        }
        if !pair.isCancelled {
            var next = pair
            next.cancel()
            if next.machine.take(by: .host) != nil || next.machine.take(by: .host, of: 0) != nil { tally.wrong += 1 }
            explore(next, &tally)
        }
    }

    @Test(
        "Every order of events: each block once, released exactly when nothing is left",
        arguments: [
            [0, 0], [1, 0], [0, 1], [1, 1], [2, 0], [2, 1], [1, 2], [2, 2], [3, 0], [3, 1], [0, 3],
        ])
    func everyOrder(_ counts: [Int]) {
        var tally = Tally()
        explore(Pair(counts), &tally)
        #expect(tally.wrong == 0)
        #expect(tally.ends > 0 && (counts == [0, 0] || tally.cancelled > 0 && tally.cancelled < tally.ends))
    }

    @Test("With groups of three, every order of takes, finished in every order that two workers make")
    func largest() {
        var tally = Tally()
        exploreTwoWorkers(Pair([3, 3]), &tally)
        #expect(tally.wrong == 0 && tally.ends > 1000)
    }

    /// As `explore`, with at most two blocks in capture at a time: the full tree of six blocks is too large.
    private func exploreTwoWorkers(_ pair: Pair, _ tally: inout Tally) {
        if !pair.check() { tally.wrong += 1 }
        guard !pair.isOver else { return tally.ends += 1 }
        let capturing = pair.blocks.indices.filter { pair.blocks[$0] == .capturing }
        for group in [0, 1] where capturing.count < 2 && pair.pending(group) != nil {
            var next = pair
            if !next.take(group) { tally.wrong += 1 }
            exploreTwoWorkers(next, &tally)
        }
        for block in capturing {
            var next = pair
            next.finish(block)
            exploreTwoWorkers(next, &tally)
        }
        if !pair.isCancelled && capturing.count == 2 {
            var next = pair
            next.cancel()
            exploreTwoWorkers(next, &tally)
        }
    }

    @Test("Lanes take their own blocks only, each in order, and a group is released when both have finished")
    func lanes() {
        let blocks: [(unit: UnitIndex, lane: CaptureLane)] = [(0, .host), (0, .device), (0, .device), (1, .device), (2, .host)]
        var machine = SnapshotStateMachine(blocks: blocks, unitCount: 3)
        let foreign = [machine.take(by: .device, of: 2), machine.take(by: .host, of: 1)]
        #expect(foreign == [nil, nil])
        let host = [machine.take(by: .host), machine.take(by: .host), machine.take(by: .host)]
        #expect(host == [0, 4, nil])
        let device = [machine.take(by: .device), machine.take(by: .device, of: 1), machine.take(by: .device)]
        #expect(device == [1, 3, 2])
        for block in [0, 1, 3] as [BlockIndex] { machine.finish(block) }
        #expect(!machine.isReleased(0) && machine.isReleased(1) && !machine.isReleased(2))
        machine.finish(2)
        #expect(machine.isReleased(0) && !machine.isReleased())
        machine.finish(4)
        #expect(machine.isReleased())
    }
}
