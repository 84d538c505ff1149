@testable import Checkpointing
import CheckpointSegments
import CheckpointState
import Testing

/// The machine driven by a schedule: threads of every kind, a trainer that saves and waits at fences, and failures.
struct PipelineSimulation {
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
    init(groups: [Int], slots: Int, touched: Int? = nil, isPlacedEarly: Bool, streams: Bool = true, reuses: Bool = false) {
        self.groups = groups
        self.reuses = reuses
        self.isPlacedEarly = isPlacedEarly
        machine = PipelineStateMachine(slotCount: slots, touchedCount: touched, spareCount: isPlacedEarly ? 0 : 1, streams: streams)
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
        case .touch(let slot): machine.finishedTouching(slot)
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
        case .touch(let slot): machine.finishedTouching(slot)
        case nil: break
        }
    }

    mutating func endFence() {
        if let (id, _) = fence { machine.endFence(id) }
        fence = nil
    }
}

extension PipelineSimulation.Save {
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
