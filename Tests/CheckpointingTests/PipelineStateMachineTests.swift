@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointMaintenance
import CheckpointSegments
import CheckpointState
@testable import CheckpointStorage
import CheckpointTestSupport
import Testing

/// The machine driven by a schedule: threads of every kind, a trainer that saves and waits at fences, and failures.
private struct Simulation {
    typealias Job = PipelineStateMachine.Job
    typealias Role = PipelineStateMachine.Role

    /// What has become of one save.
    struct Save {
        let groupOfBlock: [Int]
        let reuses: Bool
        var captured: [Int: Int] = [:]
        var written: [Int: Int] = [:]
        var places: [SegmentLayout.Place] = []
        var objectsEncoded = 0
        var end: PipelineStateMachine.Action?
        var isFailed = false
        var taken: [CaptureLane: [Int]] = [:]
        var placeOfBlock: [Int: SegmentLayout.Place] = [:]
    }

    var machine: PipelineStateMachine
    let groups: [Int]
    let isPlacedEarly: Bool
    /// Whether some blocks are in the store already.
    let reuses: Bool
    var saves: [Save] = []
    var running: [(role: Role, action: PipelineStateMachine.Action)] = []
    var fence: (id: Int, group: Int?)?
    /// Spare slot of the one worker, if it encodes.
    var spare: Int?
    var committed: [Int] = []
    static let threads: [Role: Int] = [.worker: 2, .device: 2, .writer: 1, .objects: 1]

    /// - Parameter groups: number of blocks of each group; every third block is on a device.
    init(groups: [Int], slots: Int, isPlacedEarly: Bool, streams: Bool = true, reuses: Bool = false) {
        self.groups = groups
        self.reuses = reuses
        self.isPlacedEarly = isPlacedEarly
        machine = PipelineStateMachine(slotCount: slots, spareCount: isPlacedEarly ? 0 : 1, streams: streams)
        spare = isPlacedEarly ? nil : slots
    }

    var isOver: Bool { machine.isIdle }

    mutating func save() {
        var blocks: [(group: Int, lane: CaptureLane)] = []
        for (group, count) in groups.enumerated() {
            let device = count / 3
            blocks += (0..<count).map { (group, $0 < count - device ? .host : .device) }
        }
        let names = Dictionary(uniqueKeysWithValues: groups.indices.map { ("g\($0)", $0) })
        let id = machine.begin(
            Flight.Plan(
                snapshot: SnapshotStateMachine(blocks: blocks, groupCount: groups.count), groupIndex: names,
                layout: SegmentLayout(), isPlacedEarly: isPlacedEarly, hasObjects: true))
        precondition(id == saves.count)
        saves.append(Save(groupOfBlock: blocks.map(\.group), reuses: reuses))
    }

    /// A thread asks for something to do.
    mutating func start(_ role: Role) -> Bool {
        guard running.filter({ $0.role == role }).count < Self.threads[role, default: 0] else { return false }
        let hadWork = machine.hasWork(for: role)
        guard let action = machine.nextAction(for: role) else {
            #expect(!hadWork)
            return false
        }
        #expect(hadWork)
        if case .capture(let job) = action { took(job) }
        running.append((role, action))
        return true
    }

    mutating func took(_ job: Job) { saves[job.flight].taken[job.lane, default: []].append(job.block) }

    /// Some blocks are in the store already, and others in part.
    func rawBytes(of job: Job) -> Int { reuses && job.block % 5 == 3 ? 0 : 5000 - job.block % 2 }

    /// One of the running actions ends.
    mutating func finish(_ index: Int) {
        switch running.remove(at: index).action {
        case .capture(let job): finishCapture(job)
        case .encode(var job):
            // Every other block is worth encoding.
            if let held = spare, job.block % 2 == 0 { (spare, job.slot) = (job.slot, held) }
            machine.finishedEncoding(job, storedBytes: 100 * (job.block + 1))
        case .write(let job):
            saves[job.flight].written[job.block, default: 0] += 1
            if let place = job.place {
                saves[job.flight].places.append(place)
                saves[job.flight].placeOfBlock[job.block] = place
            }
            machine.finishedWriting(job)
        case .encodeObjects(let flight):
            saves[flight].objectsEncoded += 1
            saves[flight].places.append(machine.place(flight: flight, storedBytes: 10))
            machine.finishedObjects(flight: flight)
        case .commit(let flight):
            committed.append(flight)
            saves[flight].end = .commit(flight: flight)
            machine.ended(flight: flight)
        case .abandon(let flight):
            saves[flight].end = .abandon(flight: flight)
            machine.ended(flight: flight)
        case .stop: break
        }
    }

    mutating func finishCapture(_ job: Job) {
        saves[job.flight].captured[job.block, default: 0] += 1
        let wasLast = machine.finishedCapture(job, rawBytes: rawBytes(of: job))
        let save = saves[job.flight]
        #expect(wasLast == (!save.isFailed && save.captured.count == save.groupOfBlock.count))
    }

    mutating func fail(_ flight: Int) {
        guard saves[flight].end == nil else { return }
        machine.failed(flight: flight)
        saves[flight].isFailed = true
    }

    // MARK: Fences

    mutating func beginFence(_ group: Int?) { fence = (machine.beginFence(group.map { "g\($0)" }), group) }

    /// The trainer helps, or passes.
    mutating func stepFence() {
        guard let (id, group) = fence else { return }
        switch machine.nextStep(atFence: id) {
        case .pass:
            #expect(saves.allSatisfy { $0.isFailed || $0.isCaptured(group) })
            machine.endFence(id)
            fence = nil
        case .capture(let job):
            if let group { #expect(saves[job.flight].groupOfBlock[job.block] == group) }
            took(job)
            finishCapture(job)
        case nil: break
        }
    }

    mutating func endFence() {
        if let (id, _) = fence { machine.endFence(id) }
        fence = nil
    }
}

extension Simulation.Save {
    func isCaptured(_ group: Int?) -> Bool {
        groupOfBlock.indices.allSatisfy { (group != nil && groupOfBlock[$0] != group) || captured[$0] == 1 }
    }

    var isWhole: Bool {
        groupOfBlock.indices.allSatisfy { captured[$0] == 1 && written[$0] == (isReused($0) ? nil : 1) } && objectsEncoded == 1
            && Set(places.map { [$0.segment, $0.offset] }).count == groupOfBlock.indices.count { !isReused($0) } + 1
    }

    private func isReused(_ block: Int) -> Bool { reuses && block % 5 == 3 }

    /// Whether the blocks of each lane lie in the order in which they were taken.
    var isInOrder: Bool {
        taken.values.allSatisfy { blocks in
            let offsets = blocks.compactMap { placeOfBlock[$0]?.offset }
            return offsets == offsets.sorted()
        }
    }
}

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
            var simulation = Simulation(
                groups: Self.shapes[shape].groups, slots: Self.shapes[shape].slots, isPlacedEarly: mode.isPlacedEarly,
                streams: mode.streams, reuses: seed % 2 == 1)
            run(&simulation, &random, failures: 0)
            #expect(simulation.isOver && simulation.saves.allSatisfy(\.isWhole), "seed \(seed)")
            #expect(simulation.committed == Array(simulation.saves.indices), "seed \(seed)")
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
            var simulation = Simulation(
                groups: Self.shapes[shape].groups, slots: Self.shapes[shape].slots, isPlacedEarly: seed % 2 == 0, reuses: seed % 3 == 0)
            run(&simulation, &random, failures: 1 + Int(seed % 2))
            #expect(simulation.isOver && simulation.saves.allSatisfy { $0.end != nil }, "seed \(seed)")
            #expect(simulation.saves.allSatisfy { $0.captured.values.allSatisfy { $0 == 1 } })
            #expect(simulation.committed == simulation.committed.sorted())
            for save in simulation.saves where !save.isFailed { #expect(save.isWhole, "seed \(seed)") }
            checkNothingLost(simulation, seed)
        }
    }

    private func checkNothingLost(_ simulation: Simulation, _ seed: UInt64) {
        #expect(simulation.machine.slots.usedCount == 0, "seed \(seed)")
        #expect(simulation.machine.slots.highWaterMark <= simulation.machine.slots.spares.lowerBound)
    }

    /// Every kind of thread, and a trainer that saves three times and goes from fence to fence, in a random order.
    private func run(_ simulation: inout Simulation, _ random: inout SeededGenerator, failures: Int) {
        var failAt = Set((0..<failures).map { _ in Int.random(in: 1..<60, using: &random) })
        simulation.save()
        for step in 0..<20_000 where !(simulation.isOver && simulation.saves.count == 3) {
            if failAt.remove(step) != nil { simulation.fail(Int.random(in: simulation.saves.indices, using: &random)) }
            switch Int.random(in: 0..<5, using: &random) {
            case 0, 1:
                if let role = Simulation.Role.allCases.randomElement(using: &random) { _ = simulation.start(role) }
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
        var simulation = Simulation(groups: [1, 2], slots: 4, isPlacedEarly: true)
        simulation.save()
        guard case .capture(let first)? = simulation.machine.nextAction(for: .worker) else { return #expect(Bool(false), "no capture") }
        simulation.finishCapture(first)
        simulation.beginFence(1)
        guard case .capture(let fenced)? = simulation.machine.nextAction(for: .worker) else { return #expect(Bool(false), "not first") }
        #expect(simulation.saves[0].groupOfBlock[fenced.block] == 1)
        simulation.endFence()
        guard case .encode(let next)? = simulation.machine.nextAction(for: .worker) else { return #expect(Bool(false), "no block") }
        #expect((next.block, next.slot) == (first.block, first.slot))
    }

    @Test("workers run only so far ahead of the writer, and catch up when it has written")
    func lookahead() {
        var simulation = Simulation(groups: [20], slots: 16, isPlacedEarly: true)
        simulation.save()
        while simulation.start(.worker) { simulation.finish(0) }
        #expect(simulation.saves[0].captured.count == PipelineStateMachine.lookahead)
        let isWriting = simulation.start(.writer)
        #expect(isWriting)
        while simulation.start(.worker) { simulation.finish(1) }
        #expect(simulation.saves[0].captured.count == PipelineStateMachine.lookahead + 1)
    }

    @Test("a slow object encoder, device or writer holds none of the others up")
    func lanesAreIndependent() {
        var simulation = Simulation(groups: [6], slots: 8, isPlacedEarly: true)
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
        var simulation = Simulation(groups: [2], slots: 4, isPlacedEarly: true)
        simulation.save()
        while simulation.start(.worker) || simulation.start(.writer) || simulation.start(.objects) {
            if simulation.running.last?.action == .commit(flight: 0) { break }
            simulation.finish(0)
        }
        simulation.save()
        #expect(simulation.machine.admission(.block) == .wait && simulation.machine.admission(.skip) == .refuse)
        while simulation.start(.worker) || simulation.start(.writer) || simulation.start(.objects) { simulation.finish(1) }
        #expect(simulation.saves[1].written.count == 2 && simulation.committed.isEmpty)
        simulation.finish(0)
        #expect(simulation.machine.admission(.block) == .begin(instead: []))
        while simulation.start(.worker) { simulation.finish(0) }
        #expect(simulation.committed == [0, 1])
    }

    @Test("a save that nothing was captured of gives way; one that has begun does not")
    func replacePending() {
        var simulation = Simulation(groups: [2], slots: 1, isPlacedEarly: true)
        #expect(simulation.machine.admission(.replacePending) == .begin(instead: []))
        simulation.save()
        #expect(simulation.machine.admission(.replacePending) == .begin(instead: []), "the oldest is never given up")
        simulation.save()
        #expect(simulation.machine.admission(.replacePending) == .begin(instead: [1]))
        simulation.fail(1)
        simulation.save()
        #expect(simulation.machine.unstarted == [2])
        // Of the oldest; the failed one is cleaned up by another.
        let isStarted = simulation.start(.worker)
        #expect(isStarted)
        while !simulation.isOver {
            for role in Simulation.Role.allCases { _ = simulation.start(role) }
            simulation.finish(0)
        }
        #expect(simulation.committed == [0, 2] && simulation.saves[1].end == .abandon(flight: 1))
    }

    @Test("a closed machine stops its threads once the saves in flight are over")
    func closes() {
        var simulation = Simulation(groups: [], slots: 1, isPlacedEarly: true)
        simulation.save()
        simulation.machine.close()
        while !simulation.isOver {
            for role in Simulation.Role.allCases { _ = simulation.start(role) }
            simulation.finish(0)
        }
        for role in Simulation.Role.allCases {
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
        var unlimited = RateLimiter(bytesPerSecond: nil)
        check(unlimited.delay(before: .max, now: start), .zero)
    }
}
