import CheckpointIO
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
        let unitOfBlock: [UnitIndex]
        let reuses: Bool
        var captured: [BlockIndex: Int] = [:]
        var written: [BlockIndex: Int] = [:]
        var places: [SegmentLayout.Place] = []
        var objectsEncoded = 0
        var captureReports = 0
        var end: PipelineStateMachine.Action?
        var isFailed = false
        var taken: [CaptureLane: [BlockIndex]] = [:]
        var placeOfBlock: [BlockIndex: SegmentLayout.Place] = [:]
    }

    var machine: PipelineStateMachine
    let groups: [Int]
    let isPlacedEarly: Bool
    /// Whether some blocks are in the store already.
    let reuses: Bool
    var saves: [Save] = []
    var running: [(role: Role, action: PipelineStateMachine.Action)] = []
    var fence: (id: FenceID, unit: UnitIndex?)?
    /// Spare slot of the one worker, if it encodes.
    var spare: SlotIndex?
    var committed: [FlightID] = []
    static let threads: [Role: Int] = [.worker: 2, .device: 2, .writer: 1, .objects: 1]

    /// - Parameter groups: number of blocks of each group; every third block is on a device.
    init(groups: [Int], slots: Int, isPlacedEarly: Bool, streams: Bool = true, reuses: Bool = false) {
        self.groups = groups
        self.reuses = reuses
        self.isPlacedEarly = isPlacedEarly
        machine = PipelineStateMachine(slotCount: slots, spareCount: isPlacedEarly ? 0 : 1, streams: streams)
        spare = isPlacedEarly ? nil : SlotIndex(slots)
    }

    var isOver: Bool { machine.isIdle }

    mutating func save() {
        var blocks: [(unit: UnitIndex, lane: CaptureLane)] = []
        for (group, count) in groups.enumerated() {
            let device = count / 3
            blocks += (0..<count).map { (UnitIndex(group), $0 < count - device ? .host : .device) }
        }
        let names = Dictionary(uniqueKeysWithValues: groups.indices.map { ("g\($0)", UnitIndex($0)) })
        let id = machine.begin(
            Flight.Plan(
                snapshot: SnapshotStateMachine(blocks: blocks, unitCount: groups.count), unitIndex: names,
                layout: SegmentLayout(), isPlacedEarly: isPlacedEarly, hasObjects: true))
        precondition(id.rawValue == saves.count)
        saves.append(Save(unitOfBlock: blocks.map(\.unit), reuses: reuses))
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

    private subscript(flight: FlightID) -> Save {
        get { saves[flight.rawValue] }
        set { saves[flight.rawValue] = newValue }
    }

    mutating func took(_ job: Job) { self[job.flight].taken[job.lane, default: []].append(job.block) }

    /// Some blocks are in the store already, and others in part.
    func captured(_ job: Job) -> CapturedBlock {
        let block = job.block.rawValue
        return CapturedBlock(rawBytes: reuses && block % 5 == 3 ? 0 : 5000 - block % 2)
    }

    /// One of the running actions ends.
    mutating func finish(_ index: Int) {
        switch running.remove(at: index).action {
        case .capture(let job): finishCapture(job)
        case .encode(let encode):
            let block = encode.job.block.rawValue
            var slot = encode.job.slot
            // Every other block is worth encoding.
            if let held = spare, block % 2 == 0 { (spare, slot) = (slot, held) }
            machine.finishedEncoding(encode, encoded(100 * (block + 1)), slot: slot)
        case .write(let write):
            self[write.job.flight].written[write.job.block, default: 0] += 1
            let place = SegmentLayout.Place(
                segment: write.block.segment, offset: write.block.location.offset)
            self[write.job.flight].places.append(place)
            self[write.job.flight].placeOfBlock[write.job.block] = place
            machine.finishedWriting(write.job)
        case .reportCapture(let flight):
            #expect(self[flight].isCaptured(nil) && self[flight].end == nil)
            self[flight].captureReports += 1
            machine.finishedAction(of: flight)
        case .encodeObjects(let flight):
            self[flight].objectsEncoded += 1
            self[flight].places.append(machine.place(of: flight, storedBytes: 10))
            machine.finishedAction(of: flight)
        case .commit(let flight):
            committed.append(flight)
            self[flight].end = .commit(flight)
            machine.settled(flight)
            machine.ended(flight)
        case .abandon(let flight):
            self[flight].end = .abandon(flight)
            machine.settled(flight)
            machine.ended(flight)
        case .stop: break
        }
    }

    private func encoded(_ bytes: Int) -> EncodedBlock {
        EncodedBlock(codec: .raw, rawBytes: bytes, storedBytes: bytes, storedHash: 0)
    }

    mutating func finishCapture(_ job: Job) {
        self[job.flight].captured[job.block, default: 0] += 1
        let wasLast = machine.finishedCapture(job, captured(job))
        let save = self[job.flight]
        #expect(wasLast == (!save.isFailed && save.captured.count == save.unitOfBlock.count))
    }

    mutating func fail(_ flight: Int) {
        guard saves[flight].end == nil else { return }
        machine.failed(FlightID(flight))
        saves[flight].isFailed = true
    }

    // MARK: Fences

    mutating func beginFence(_ group: Int?) {
        fence = (machine.beginFence(group.map { "g\($0)" }), group.map { UnitIndex($0) })
    }

    /// The trainer helps, or passes.
    mutating func stepFence() {
        guard let (id, unit) = fence else { return }
        switch machine.nextAction(atFence: id) {
        case .pass:
            #expect(saves.allSatisfy { $0.isFailed || $0.isCaptured(unit) })
            machine.endFence(id)
            fence = nil
        case .capture(let job):
            if let unit { #expect(self[job.flight].unitOfBlock[job.block.rawValue] == unit) }
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
    func isCaptured(_ unit: UnitIndex?) -> Bool {
        unitOfBlock.indices.allSatisfy {
            (unit != nil && unitOfBlock[$0] != unit) || captured[BlockIndex($0)] == 1
        }
    }

    var isWhole: Bool {
        unitOfBlock.indices.allSatisfy {
            captured[BlockIndex($0)] == 1 && written[BlockIndex($0)] == (isReused($0) ? nil : 1)
        } && objectsEncoded == 1 && captureReports == 1
            && Set(places.map { [$0.segment, $0.offset] }).count == unitOfBlock.indices.count { !isReused($0) } + 1
    }

    private func isReused(_ block: Int) -> Bool { reuses && block % 5 == 3 }

    /// True if the blocks of each lane lie in the order in which they were taken.
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
            var simulation = Simulation(
                groups: Self.shapes[shape].groups, slots: Self.shapes[shape].slots, isPlacedEarly: seed % 2 == 0, reuses: seed % 3 == 0)
            run(&simulation, &random, failures: 1 + Int(seed % 2))
            #expect(simulation.isOver && simulation.saves.allSatisfy { $0.end != nil }, "seed \(seed)")
            #expect(simulation.saves.allSatisfy { $0.captured.values.allSatisfy { $0 == 1 } })
            #expect(simulation.committed.map(\.rawValue) == simulation.committed.map(\.rawValue).sorted())
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
        #expect(simulation.saves[0].unitOfBlock[fenced.block.rawValue] == UnitIndex(1))
        simulation.endFence()
        guard case .encode(let next)? = simulation.machine.nextAction(for: .worker) else { return #expect(Bool(false), "no block") }
        #expect((next.job.block, next.job.slot) == (first.block, first.slot))
    }

    @Test("a block knows whether training waits for its save, and the writer for a block", arguments: [nil, false, true])
    func waits(isAwaited: Bool?) {
        var simulation = Simulation(groups: [2, 2], slots: 3, isPlacedEarly: false)
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
        var simulation = Simulation(groups: [2], slots: 1, isPlacedEarly: true)
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
            for role in Simulation.Role.allCases { _ = simulation.start(role) }
            simulation.finish(0)
        }
        #expect(simulation.committed == [FlightID(0), FlightID(2)]
            && simulation.saves[1].end == .abandon(FlightID(1)))
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
    }
}
