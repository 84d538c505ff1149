import CheckpointIO
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointMaintenance
import CheckpointSegments
import CheckpointState
@testable import CheckpointStorage
import CheckpointTestSupport
import Testing

/// The machine alone, driven through random interleavings.
@Suite("Pipeline state machine", .timeLimit(.minutes(20)))
struct PipelineStateMachineTests {
    private static let shapes: [(groups: [Int], slots: Int)] = [
        ([3], 1), ([1, 1], 1), ([2, 3], 2), ([4, 1, 2], 3), ([0, 2], 1), ([9], 8), ([], 1), ([6, 0, 7], 2),
    ]

    @Test(
        "each block is captured and written once, no slot is lost, a fence passes only when its group is out, saves commit in order",
        arguments: shapes.indices, [(false, true), (true, true), (true, false)])
    func completes(shape: Int, mode: (isPlacedEarly: Bool, streams: Bool)) {
        for seed in 0..<150 as Range<UInt64> {
            var random = SeededGenerator(seed)
            var simulation = PipelineSimulation(
                groups: Self.shapes[shape].groups, slots: Self.shapes[shape].slots, touched: seed % 3 == 0 ? 1 : nil,
                isPlacedEarly: mode.isPlacedEarly, streams: mode.streams, reuses: seed % 2 == 1)
            run(&simulation, &random, failures: 0)
            #expect(simulation.isOver && simulation.saves.allSatisfy(\.isWhole), "seed \(seed)")
            #expect(simulation.committed.map(\.rawValue) == Array(simulation.saves.indices), "seed \(seed)")
            if mode.isPlacedEarly { #expect(simulation.saves.allSatisfy { $0.isInOrder }, "seed \(seed)") }
            checkNothingLost(simulation, seed)
        }
    }

    @Test(
        "a failure at any moment ends in cleaning up, with every slot back and every fence open; other saves commit",
        arguments: shapes.indices)
    func fails(shape: Int) {
        for seed in 0..<300 as Range<UInt64> {
            var random = SeededGenerator(seed)
            var simulation = PipelineSimulation(
                groups: Self.shapes[shape].groups, slots: Self.shapes[shape].slots, touched: seed % 5 == 0 ? 1 : nil,
                isPlacedEarly: seed % 2 == 0, reuses: seed % 3 == 0)
            run(&simulation, &random, failures: 1 + Int(seed % 2))
            #expect(simulation.isOver && simulation.saves.allSatisfy { $0.end != nil }, "seed \(seed)")
            #expect(simulation.saves.allSatisfy { $0.captured.values.allSatisfy { $0 == 1 } })
            #expect(simulation.committed.map(\.rawValue) == simulation.committed.map(\.rawValue).sorted())
            for save in simulation.saves where !save.isFailed { #expect(save.isWhole, "seed \(seed)") }
            checkNothingLost(simulation, seed)
        }
    }

    private func checkNothingLost(_ simulation: PipelineSimulation, _ seed: UInt64) {
        #expect(simulation.machine.slots.usedCount == 0, "seed \(seed)")
        #expect(simulation.machine.slots.highWaterMark <= simulation.machine.slots.spares.lowerBound)
    }

    /// Every kind of thread, and a trainer that saves three times and goes from fence to fence, in a random order.
    private func run(_ simulation: inout PipelineSimulation, _ random: inout SeededGenerator, failures: Int) {
        var failAt = Set((0..<failures).map { _ in Int.random(in: 1..<60, using: &random) })
        simulation.save()
        for step in 0..<20_000 where !(simulation.isOver && simulation.saves.count == 3) {
            if Int.random(in: 0..<20, using: &random) == 0 { simulation.machine.isLate.toggle() }
            if failAt.remove(step) != nil { simulation.fail(Int.random(in: simulation.saves.indices, using: &random)) }
            switch Int.random(in: 0..<5, using: &random) {
            case 0, 1:
                if let role = PipelineSimulation.Role.allCases.randomElement(using: &random) { _ = simulation.start(role) }
            case 2 where !simulation.running.isEmpty:
                simulation.finish(Int.random(in: simulation.running.indices, using: &random))
            case 3 where simulation.fence == nil && simulation.saves.count < 3:
                if simulation.machine.admission(.block) == .begin(instead: []) { simulation.save() }
            case 3 where simulation.fence == nil && !simulation.isOver:
                let group = Int.random(in: -1..<max(simulation.groups.count, 1), using: &random)
                simulation.beginFence(group < 0 || simulation.groups.isEmpty ? nil : group)
            case 4: simulation.stepFence()
            default: break
            }
        }
        simulation.endFence()
    }

    @Test("while somebody waits at a fence, workers capture what is waited for before they encode")
    func fencesComeFirst() {
        var simulation = PipelineSimulation(groups: [1, 2], slots: 4, isPlacedEarly: true)
        simulation.save()
        guard case .capture(let first)? = simulation.machine.nextAction(for: .worker) else { return #expect(Bool(false), "no capture") }
        simulation.finishCapture(first)
        simulation.beginFence(1)
        guard case .capture(let fenced)? = simulation.machine.nextAction(for: .worker) else { return #expect(Bool(false), "not first") }
        #expect(simulation.saves[0].unitOfBlock[fenced.block.rawValue] == UnitIndex(1))
        simulation.endFence()
        guard case .encode(let next)? = simulation.machine.nextAction(for: .worker) else { return #expect(Bool(false), "no block") }
        #expect((next.job.block, next.job.slot) == (first.block, first.slot))
    }

    @Test("a block knows whether training waits for its save, and the writer for a block", arguments: [nil, false, true])
    func waits(isAwaited: Bool?) {
        var simulation = PipelineSimulation(groups: [2, 2], slots: 3, isPlacedEarly: false)
        simulation.save()
        let areStarted = simulation.start(.worker) && simulation.start(.worker)
        #expect(areStarted)
        for _ in 0..<2 { simulation.finish(0) }
        // Group 0 is captured, group 1 is not.
        if let isAwaited { simulation.beginFence(isAwaited ? 1 : 0) }
        for isWriterIdle in [true, false] {
            guard case .encode(let encode)? = simulation.machine.nextAction(for: .worker) else { return #expect(Bool(false), "no block") }
            #expect(encode.waiting == .init(isWriter: isWriterIdle, isTraining: isAwaited == true))
            simulation.running.append((.worker, .encode(encode)))
            simulation.finish(0)
        }
    }

    @Test("workers run only so far ahead of the writer, and catch up when it has written")
    func lookahead() {
        var simulation = PipelineSimulation(groups: [20], slots: 16, isPlacedEarly: true)
        simulation.save()
        while simulation.start(.worker) { simulation.finish(0) }
        #expect(simulation.saves[0].captured.count == PipelineStateMachine.lookahead)
        let isWriting = simulation.start(.writer)
        #expect(isWriting)
        while simulation.start(.worker) { simulation.finish(1) }
        #expect(simulation.saves[0].captured.count == PipelineStateMachine.lookahead + 1)
    }

    @Test("before a fence that they would miss, workers capture first, as far as there are slots")
    func lateness() {
        var simulation = PipelineSimulation(groups: [30], slots: 16, isPlacedEarly: true)
        simulation.save()
        #expect(simulation.machine.uncapturedCount == 30)
        while simulation.start(.worker) { simulation.finish(0) }
        simulation.machine.isLate = true
        while simulation.start(.worker) {
            guard case .capture = simulation.running[0].action, simulation.saves[0].captured.count < 15 else { break }
            simulation.finish(0)
        }
        // Ten of the 30 blocks are a device's. The last slot is left while somebody waits.
        simulation.beginFence(0)
        #expect(simulation.saves[0].captured.count == 15 && simulation.machine.uncapturedCount == 15)
        simulation.finish(0)
        let isEncoding = simulation.start(.worker)
        #expect(isEncoding)
        guard case .encode = simulation.running[0].action else { return #expect(Bool(false), "there is no slot to capture into") }
        simulation.endFence()
    }

    @Test("slots get memory when somebody has waited for one, as many as would have been enough, and one after the other")
    func growth() {
        var simulation = PipelineSimulation(groups: [12], slots: 16, touched: 2, isPlacedEarly: true)
        simulation.save()
        while simulation.start(.worker) { simulation.finish(0) }
        #expect(simulation.machine.slots.touchedCount == 2 && simulation.saves[0].captured.count == 2)
        simulation.beginFence(nil)
        simulation.stepFence()
        #expect(simulation.machine.slots.touchedCount == 3)
        while simulation.start(.worker) { simulation.finish(0) }
        // Two of twelve blocks had slots; four of the others are a device's.
        #expect(simulation.machine.slots.touchedCount == 12 && simulation.saves[0].captured.count == 8)
        let areStarted = simulation.start(.worker)
        #expect(!areStarted)
    }

    @Test("slots get memory between saves, too, by one thread")
    func growthBetweenSaves() {
        var simulation = PipelineSimulation(groups: [3], slots: 16, touched: 1, isPlacedEarly: true)
        simulation.save()
        // One of the three blocks is a device's.
        for _ in 0..<2 where simulation.start(.worker) { simulation.finish(0) }
        simulation.machine.isLate = true
        simulation.fail(0)
        var threads = 0
        while simulation.start(.worker) { threads += 1 }
        #expect(threads == 2)
        for _ in 0..<threads { simulation.finish(0) }
        #expect(simulation.isOver)
        let areStarted = simulation.start(.worker)
        #expect(areStarted)
        let areTwo = simulation.start(.worker)
        #expect(!areTwo)
        guard case .touch = simulation.running[0].action else { return #expect(Bool(false), "no slot gets memory") }
        simulation.finish(0)
        while simulation.start(.worker) { simulation.finish(0) }
        #expect(simulation.machine.slots.touchedCount == 3)
    }

    @Test("a slow object encoder, device or writer holds none of the others up")
    func lanesAreIndependent() {
        var simulation = PipelineSimulation(groups: [6], slots: 8, isPlacedEarly: true)
        simulation.save()
        // The objects and a device copy begin, and never end.
        let areStarted = simulation.start(.objects) && simulation.start(.device)
        #expect(areStarted)
        while simulation.start(.worker) || simulation.start(.writer) { simulation.finish(2) }
        #expect(simulation.saves[0].written.count == 4)
        #expect(simulation.saves[0].objectsEncoded == 0 && simulation.saves[0].end == nil)
    }

    @Test("the next save is captured while the one before it is being committed")
    func savesOverlap() {
        var simulation = PipelineSimulation(groups: [2], slots: 4, isPlacedEarly: true)
        simulation.save()
        while simulation.start(.worker) || simulation.start(.writer) || simulation.start(.objects) {
            if simulation.running.last?.action == .commit(FlightID(0)) { break }
            simulation.finish(0)
        }
        simulation.save()
        #expect(simulation.machine.admission(.block) == .wait && simulation.machine.admission(.skip) == .refuse)
        while simulation.start(.worker) || simulation.start(.writer) || simulation.start(.objects) { simulation.finish(1) }
        #expect(simulation.saves[1].written.count == 2 && simulation.committed.isEmpty)
        simulation.finish(0)
        #expect(simulation.machine.admission(.block) == .begin(instead: []))
        while simulation.start(.worker) { simulation.finish(0) }
        #expect(simulation.committed == [FlightID(0), FlightID(1)])
    }

    @Test("a save that nothing was captured of gives way; one that has begun does not")
    func replacePending() {
        var simulation = PipelineSimulation(groups: [2], slots: 1, isPlacedEarly: true)
        #expect(simulation.machine.admission(.replacePending) == .begin(instead: []))
        simulation.save()
        #expect(simulation.machine.admission(.replacePending) == .begin(instead: []), "the oldest is never given up")
        simulation.save()
        #expect(simulation.machine.admission(.replacePending) == .begin(instead: [FlightID(1)]))
        simulation.fail(1)
        simulation.save()
        #expect(simulation.machine.unstarted == [FlightID(2)])
        // Of the oldest; the failed one is cleaned up by another.
        let isStarted = simulation.start(.worker)
        #expect(isStarted)
        while !simulation.isOver {
            for role in PipelineSimulation.Role.allCases { _ = simulation.start(role) }
            simulation.finish(0)
        }
        #expect(simulation.committed == [FlightID(0), FlightID(2)]
            && simulation.saves[1].end == .abandon(FlightID(1)))
    }

    @Test("a closed machine stops its threads once the saves in flight are over")
    func closes() {
        var simulation = PipelineSimulation(groups: [], slots: 1, isPlacedEarly: true)
        simulation.save()
        simulation.machine.close()
        while !simulation.isOver {
            for role in PipelineSimulation.Role.allCases { _ = simulation.start(role) }
            simulation.finish(0)
        }
        for role in PipelineSimulation.Role.allCases {
            let last = simulation.machine.nextAction(for: role)
            #expect(last == .stop)
        }
    }
}

@Suite("Rate limiter", .timeLimit(.minutes(20)))
struct RateLimiterTests {
    private func check(_ delay: Duration, _ expected: Duration) { #expect(abs((delay - expected) / .seconds(1)) < 1e-9) }

    @Test("writes are spread so that no second takes more than its share, and idle time is not saved up")
    func spreads() {
        var limiter = RateLimiter(bytesPerSecond: 1000)
        let start = ContinuousClock.now
        check(limiter.delay(before: 500, now: start), .zero)
        check(limiter.delay(before: 500, now: start), .seconds(0.5))
        check(limiter.delay(before: 250, now: start + .seconds(0.75)), .seconds(0.25))
        check(limiter.delay(before: 100, now: start + .seconds(60)), .zero)
        check(limiter.delay(before: 100, now: start + .seconds(60)), .seconds(0.1))
    }
}
