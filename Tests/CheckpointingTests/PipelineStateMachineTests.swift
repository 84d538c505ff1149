import CheckpointSegments
import CheckpointState
import CheckpointTestSupport
@testable import Checkpointing
import Testing

/// The machine alone, driven through random interleavings of workers, a trainer at fences, and failures.
@Suite("Pipeline state machine")
struct PipelineStateMachineTests {
    /// A simulated save: what is going on and what has happened.
    private struct Simulation {
        var machine: PipelineStateMachine
        let groupOfBlock: [Int]
        var running: [PipelineStateMachine.Action] = []
        var captured: [Int: Int] = [:]
        var written: [Int: Int] = [:]
        var places: [SegmentLayout.Place] = []
        var objectsEncoded = 0
        var ended: PipelineStateMachine.Action?

        init(groups: [Int], slots: Int, isPlacedEarly: Bool) {
            groupOfBlock = groups.enumerated().flatMap { group, count in Array(repeating: group, count: count) }
            machine = PipelineStateMachine(slotCount: slots)
            let snapshot = SnapshotStateMachine(groupOfBlock: groupOfBlock, groupCount: groups.count)
            machine.begin(
                snapshot: snapshot, rawBytes: groupOfBlock.map { _ in 5000 }, layout: SegmentLayout(),
                isPlacedEarly: isPlacedEarly, hasObjects: true)
        }

        /// A worker asks for something to do.
        mutating func startWork() -> Bool {
            guard let action = machine.nextAction() else { return false }
            running.append(action)
            return true
        }

        /// One of the running actions ends.
        mutating func finish(_ index: Int) {
            switch running.remove(at: index) {
            case .encodeObjects:
                objectsEncoded += 1
                machine.finishedObjects()
            case .capture(let job): finishCapture(job)
            case .write(let job):
                written[job.block, default: 0] += 1
                places.append(job.place ?? machine.place(storedBytes: 100))
                machine.finishedWrite(job)
            case let action:
                ended = action
                machine.ended()
            }
        }

        mutating func finishCapture(_ job: PipelineStateMachine.Job) {
            captured[job.block, default: 0] += 1
            _ = machine.finishedCapture(job)
        }

        func isCaptured(_ group: Int?) -> Bool {
            groupOfBlock.indices.allSatisfy { (group != nil && groupOfBlock[$0] != group) || captured[$0] == 1 }
        }
    }

    private static let shapes: [(groups: [Int], slots: Int)] = [
        ([3], 1), ([1, 1], 1), ([2, 3], 2), ([4, 1, 2], 3), ([0, 2], 1), ([5], 8), ([], 1),
    ]

    @Test("every block is captured and written exactly once, no slot is lost, and a fence passes only when its group is out",
        arguments: shapes.indices, [false, true])
    func completes(shape: Int, isPlacedEarly: Bool) throws {
        let (groups, slots) = Self.shapes[shape]
        for seed in 0..<200 as Range<UInt64> {
            var random = SeededGenerator(seed)
            var simulation = Simulation(groups: groups, slots: slots, isPlacedEarly: isPlacedEarly)
            try run(&simulation, groupCount: groups.count, &random, failAt: nil, seed)
            #expect(simulation.ended == .commit, "seed \(seed)")
            #expect(simulation.objectsEncoded == 1)
            #expect(simulation.groupOfBlock.indices.allSatisfy { simulation.captured[$0] == 1 && simulation.written[$0] == 1 })
            #expect(Set(simulation.places.map { [$0.segment, $0.offset] }).count == simulation.places.count)
            checkNothingLost(simulation, slots, seed)
        }
    }

    @Test("a failure at any moment ends in cleaning up, with every slot back and every fence open", arguments: shapes.indices)
    func fails(shape: Int) throws {
        let (groups, slots) = Self.shapes[shape]
        for seed in 0..<200 as Range<UInt64> {
            var random = SeededGenerator(seed)
            var simulation = Simulation(groups: groups, slots: slots, isPlacedEarly: seed % 2 == 0)
            try run(&simulation, groupCount: groups.count, &random, failAt: Int.random(in: 0..<12, using: &random), seed)
            #expect(simulation.ended != nil, "seed \(seed)")
            #expect(simulation.captured.values.allSatisfy { $0 == 1 })
            checkNothingLost(simulation, slots, seed)
        }
    }

    private func checkNothingLost(_ simulation: Simulation, _ slots: Int, _ seed: UInt64) {
        #expect(simulation.machine.slots.usedCount == 0, "seed \(seed)")
        #expect(simulation.machine.slots.highWaterMark <= slots)
        #expect(simulation.machine.isIdle)
    }

    /// Up to three workers, and a trainer that goes from fence to fence, in a random order.
    private func run(
        _ simulation: inout Simulation, groupCount: Int, _ random: inout SeededGenerator, failAt: Int?, _ seed: UInt64
    ) throws {
        var fence: Int?? = nil
        for step in 0..<10_000 where simulation.ended == nil {
            if step == failAt { simulation.machine.failed() }
            let isFailed = failAt.map { step >= $0 } ?? false
            switch Int.random(in: 0..<4, using: &random) {
            case 0 where simulation.running.count < 3: _ = simulation.startWork()
            case 1 where !simulation.running.isEmpty:
                simulation.finish(Int.random(in: simulation.running.indices, using: &random))
            case 2 where fence == nil:
                let group = Int.random(in: -1..<max(groupCount, 1), using: &random)
                fence = .some(group < 0 || groupCount == 0 ? nil : group)
                simulation.machine.beginFence(fence ?? nil)
            case 3: takeFenceStep(&simulation, &fence, isFailed, seed)
            default: break
            }
        }
        if case .some(let group) = fence { simulation.machine.endFence(group) }
    }

    private func takeFenceStep(_ simulation: inout Simulation, _ fence: inout Int??, _ isFailed: Bool, _ seed: UInt64) {
        guard case .some(let group) = fence else { return }
        switch simulation.machine.nextStep(atFence: group) {
        case .pass:
            #expect(isFailed || simulation.isCaptured(group), "seed \(seed)")
            simulation.machine.endFence(group)
            fence = nil
        case .capture(let job):
            if let group { #expect(simulation.groupOfBlock[job.block] == group) }
            simulation.finishCapture(job)
        case nil: break
        }
    }

    @Test("while somebody waits at a fence, workers capture before they write")
    func fencesComeFirst() {
        var simulation = Simulation(groups: [1, 3], slots: 4, isPlacedEarly: true)
        #expect(simulation.machine.nextAction() == .encodeObjects)
        simulation.machine.finishedObjects()
        guard case .capture(let first)? = simulation.machine.nextAction() else { return #expect(Bool(false), "no capture") }
        simulation.finishCapture(first)
        simulation.machine.beginFence(1)
        guard case .capture(let fenced)? = simulation.machine.nextAction() else { return #expect(Bool(false), "not first") }
        #expect(simulation.groupOfBlock[fenced.block] == 1)
        simulation.machine.endFence(1)
        #expect(simulation.machine.nextAction() == .write(first))
    }

    @Test("a closed machine stops its workers once the save in flight is over")
    func closes() {
        var simulation = Simulation(groups: [], slots: 1, isPlacedEarly: true)
        simulation.machine.close()
        while simulation.ended == nil {
            _ = simulation.startWork()
            simulation.finish(0)
        }
        #expect(simulation.machine.nextAction() == .stop)
    }
}
