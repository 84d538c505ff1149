internal import CheckpointSegments
internal import CheckpointState

/// The progress of one save: its blocks, its objects, its end. A plain value inside
/// `PipelineStateMachine`.
struct Flight {
    /// The blocks and objects of a save.
    struct Plan {
        var snapshot: SnapshotStateMachine
        /// Unit of each group in the snapshot.
        var unitIndex: [String: UnitIndex]
        var layout: SegmentLayout
        /// True if blocks are stored without encoding. Their places are then known before they
        /// are written, and those of one tensor are consecutive.
        var isPlacedEarly: Bool
        var hasObjects: Bool
    }

    /// A block in flight, in a slot of the arena.
    struct Job: Equatable {
        var flight: FlightID
        var block: BlockIndex
        var slot: SlotIndex
        var lane: CaptureLane
    }

    /// A captured block to encode.
    struct EncodeJob: Equatable {
        var job: Job
        var captured: CapturedBlock
        /// Place in the segments; nil if it depends on the encoded size.
        var place: SegmentLayout.Place?
        /// The threads that wait for the block.
        var waiting = Waiting()
    }

    /// Threads that wait while a block is encoded.
    struct Waiting: Equatable {
        /// True if the writer has nothing else to write of the save.
        var isWriter = false
        /// True if a thread waits at a fence for the save.
        var isTraining = false
    }

    /// An encoded block to write.
    struct WriteJob: Equatable {
        var job: Job
        var block: PlacedBlock
    }

    /// The part of a save that is still to be done.
    struct Remaining {
        /// Blocks that are neither written nor found in the store.
        var blocks: Int
        /// True until a thread has taken the objects.
        var objects: Bool
        /// Whether the observers know that every block is captured.
        var capture = CaptureReport.early
        /// Number of actions that threads are executing.
        var busy = 0

        var isNothing: Bool { blocks == 0 && busy == 0 && !objects && capture == .taken }
    }

    /// The report to the observers that every block is captured.
    enum CaptureReport {
        /// Some blocks are not captured yet.
        case early
        case due
        /// A thread reports it, or has.
        case taken
    }

    /// The life of a save. `failed` is reached only from `waiting` and `running`; `committing` and
    /// `abandoning` lead to `settled`, and that to the removal of the flight.
    enum Phase {
        /// No block was taken yet: the save may still give way to another.
        case waiting(Remaining)
        case running(Remaining)
        /// Nothing more is captured or written; threads end what they have begun.
        case failed(busy: Int)
        case committing
        case abandoning
        /// The result is certain; only its observers do not know it yet.
        case settled
    }

    /// A block whose place depends on earlier blocks.
    private struct Taken {
        var block: BlockIndex
        /// Nil until the block is captured.
        var captured: EncodeJob?
    }

    let id: FlightID
    private(set) var phase: Phase
    private let unitIndex: [String: UnitIndex]
    private let isPlacedEarly: Bool
    private(set) var snapshot: SnapshotStateMachine
    private var layout: SegmentLayout
    /// Blocks of each lane that were taken and have no place yet, in order. Here and below,
    /// room for every slot is reserved: these arrays never grow.
    private var taken: [[Taken]]
    private(set) var toEncode: [EncodeJob] = []
    private(set) var toWrite: [WriteJob] = []

    init(id: FlightID, _ plan: Plan, slotCount: Int) {
        self.id = id
        snapshot = plan.snapshot
        unitIndex = plan.unitIndex
        layout = plan.layout
        isPlacedEarly = plan.isPlacedEarly
        var remaining = Remaining(blocks: plan.snapshot.blockCount, objects: plan.hasObjects)
        if remaining.blocks == 0 { remaining.capture = .due }
        phase = .waiting(remaining)
        taken = CaptureLane.allCases.map { _ in [] }
        for lane in taken.indices { taken[lane].reserveCapacity(slotCount) }
        toEncode.reserveCapacity(slotCount)
        toWrite.reserveCapacity(slotCount)
    }

    // MARK: Phases

    /// Number of blocks that were captured and wait for a thread.
    var backlog: Int { toEncode.count + toWrite.count }

    /// Work that is left; nil if nothing more is done but to end.
    private var remaining: Remaining? {
        switch phase {
        case .waiting(let remaining), .running(let remaining): remaining
        case .failed, .committing, .abandoning, .settled: nil
        }
    }

    var needsObjects: Bool { remaining?.objects ?? false }
    /// True if every block is captured, and no thread has taken the report of it.
    var needsCaptureReport: Bool { remaining?.capture == .due }
    /// True if everything is written, and may be sealed and published.
    var isWritten: Bool { remaining?.isNothing ?? false }
    /// True if the save has failed and threads may still be executing its actions.
    var isFailed: Bool { if case .failed = phase { true } else { false } }
    /// True if the save failed and no thread uses anything of it.
    var isAbandonable: Bool { if case .failed(busy: 0) = phase { true } else { false } }
    /// True if no block was taken yet.
    var isUnstarted: Bool { if case .waiting = phase { true } else { false } }
    /// True while a thread commits the save or cleans it up.
    var isEnding: Bool {
        switch phase {
        case .committing, .abandoning: true
        case .waiting, .running, .failed, .settled: false
        }
    }
    /// True if the result of the save is certain.
    var isSettled: Bool { if case .settled = phase { true } else { false } }

    mutating func beginCommit() {
        precondition(isWritten, "\(id) is not written")
        phase = .committing
    }

    mutating func beginAbandoning() {
        precondition(isAbandonable, "\(id) is in use")
        phase = .abandoning
    }

    mutating func settle() {
        precondition(isEnding, "\(id) is not ending")
        phase = .settled
    }

    /// Changes what is left, unless the save has failed.
    private mutating func change(_ body: (inout Remaining) -> Void) {
        switch phase {
        case .waiting(var remaining):
            body(&remaining)
            phase = .waiting(remaining)
        case .running(var remaining):
            body(&remaining)
            phase = .running(remaining)
        case .failed, .committing, .abandoning, .settled: break
        }
    }

    /// A thread ends an action, successfully or not.
    mutating func endAction() {
        if case .failed(let busy) = phase { return phase = .failed(busy: busy - 1) }
        change { $0.busy -= 1 }
    }

    /// Returns the unit of a group. Nil, which means all units, if there is no such group: the
    /// name may be a mistake, and capturing too little would tear the checkpoint.
    func unit(ofGroup name: String?) -> UnitIndex? { name.flatMap { unitIndex[$0] } }

    // MARK: Blocks

    /// Takes the next block of a lane, which must have one pending.
    mutating func take(_ lane: CaptureLane, _ unit: UnitIndex?, slot: SlotIndex) -> Job {
        guard let block = snapshot.take(by: lane, of: unit) else {
            preconditionFailure("no block is pending")
        }
        return job(block, slot, lane)
    }

    /// Takes a given block, which must be pending.
    mutating func take(_ block: BlockIndex, slot: SlotIndex) -> Job {
        snapshot.take(block)
        return job(block, slot, .host)
    }

    private mutating func job(_ block: BlockIndex, _ slot: SlotIndex, _ lane: CaptureLane) -> Job {
        if case .waiting(let remaining) = phase { phase = .running(remaining) }
        change { $0.busy += 1 }
        if isPlacedEarly { taken[lane.rawValue].append(Taken(block: block)) }
        return Job(flight: id, block: block, slot: slot, lane: lane)
    }

    /// Records that a block is in its slot.
    ///
    /// - Parameters:
    ///   - job: the block.
    ///   - captured: the part of it that is to be stored; if that is nothing, its slot is free
    ///     again.
    /// - Returns: true if it was the last block to be captured.
    mutating func finishedCapture(_ job: Job, _ captured: CapturedBlock) -> Bool {
        snapshot.finish(job.block)
        endAction()
        guard !isFailed else { return false }
        if captured.rawBytes == 0 { change { $0.blocks -= 1 } }
        let next = EncodeJob(job: job, captured: captured, place: nil)
        if isPlacedEarly { place(next) } else if captured.rawBytes > 0 { toEncode.append(next) }
        guard snapshot.isReleased() else { return false }
        change { $0.capture = .due }
        return true
    }

    /// Gives places in the order in which blocks were taken: to this block, unless an earlier
    /// one is still being copied, and to blocks that waited for it.
    private mutating func place(_ captured: EncodeJob) {
        let lane = captured.job.lane.rawValue
        let block = captured.job.block
        guard let index = taken[lane].firstIndex(where: { $0.block == block }) else {
            preconditionFailure("\(captured.job) was not taken")
        }
        // A block with nothing to store needs no place, and has no slot any more: if it stayed
        // here, the array could grow without limit.
        if captured.captured.rawBytes > 0 {
            taken[lane][index].captured = captured
        } else {
            taken[lane].remove(at: index)
        }
        while var next = taken[lane].first?.captured {
            taken[lane].removeFirst()
            next.place = layout.place(bytes: next.captured.rawBytes)
            toEncode.append(next)
        }
    }

    /// Takes a captured block to encode.
    ///
    /// - Parameter isAwaited: true if a thread waits at a fence for this save.
    mutating func takeToEncode(isAwaited: Bool) -> EncodeJob {
        change { $0.busy += 1 }
        var encode = toEncode.removeFirst()
        encode.waiting = Waiting(isWriter: toWrite.isEmpty, isTraining: isAwaited)
        return encode
    }

    /// Records that a block is encoded, and is in `slot`.
    mutating func finishedEncoding(_ encode: EncodeJob, _ encoded: EncodedBlock, slot: SlotIndex) {
        endAction()
        guard !isFailed else { return }
        var job = encode.job
        job.slot = slot
        let place = encode.place ?? layout.place(bytes: encoded.storedBytes)
        toWrite.append(WriteJob(job: job, block: PlacedBlock(encoded, at: place)))
    }

    /// Takes an encoded block to write.
    ///
    /// - Parameter newest: true for the block encoded last, false for the one encoded first.
    mutating func takeToWrite(newest: Bool) -> WriteJob {
        change { $0.busy += 1 }
        return newest ? toWrite.removeLast() : toWrite.removeFirst()
    }

    mutating func finishedWriting() {
        endAction()
        change { $0.blocks -= 1 }
    }

    mutating func takeCaptureReport() {
        change {
            $0.capture = .taken
            $0.busy += 1
        }
    }

    // MARK: Objects

    mutating func takeObjects() {
        change {
            $0.objects = false
            $0.busy += 1
        }
    }

    /// Returns the place of a block of objects.
    mutating func place(storedBytes: Int) -> SegmentLayout.Place {
        layout.place(bytes: storedBytes)
    }

    // MARK: Failing

    /// Drops all blocks that no thread is working on.
    ///
    /// - Returns: slots that are free again.
    mutating func fail() -> [SlotIndex] {
        guard let remaining else { return [] }
        phase = .failed(busy: remaining.busy)
        snapshot.cancel()
        let waiting = taken.joined().compactMap { $0.captured?.job.slot }
        defer { (taken, toEncode, toWrite) = (taken.map { _ in [] }, [], []) }
        return waiting + toEncode.map(\.job.slot) + toWrite.map(\.job.slot)
    }
}
