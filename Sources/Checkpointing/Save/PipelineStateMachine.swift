internal import CheckpointSegments
internal import CheckpointState

/// Decides what each thread of the save pipeline does next. A plain value: no locks, no waiting, no I/O; the pipeline holds the lock,
/// carries out the action, and reports back.
///
/// One save is in flight at a time. Each of its blocks goes
///
///     pending --capture--> staged in an arena slot --write--> done
///
/// Workers write what is staged before they capture more, so a block normally leaves the trainer's memory and reaches the
/// disk through one slot. While somebody waits at a fence, capturing comes first, as long as there are slots.
struct PipelineStateMachine {
    struct Job: Equatable {
        var block: Int
        var slot: Int
        /// Fixed in advance for raw blocks, so that those of one tensor lie one after the other.
        var place: SegmentLayout.Place?
    }

    enum Action: Equatable {
        case encodeObjects
        case capture(Job)
        case write(Job)
        /// Everything is written: seal and publish.
        case commit
        /// The save has failed and nothing of it is in use any more: clean up.
        case abandon
        case stop
    }

    private struct Flight {
        var snapshot: SnapshotStateMachine
        var rawBytes: [Int]
        var layout: SegmentLayout
        var isPlacedEarly: Bool
        var staged: [Job] = []
        var busy = 0
        var unwritten: Int
        var needsObjects: Bool
        var isFailed = false
        var isEnding = false
    }

    private(set) var slots: SlotAllocator
    private var flight: Flight?
    private var fences: [Int?: Int] = [:]
    private var isClosing = false

    init(slotCount: Int) { slots = SlotAllocator(slotCount: slotCount) }

    var isIdle: Bool { flight == nil }

    // MARK: Saves

    /// - Parameters:
    ///   - rawBytes: size of each block.
    ///   - isPlacedEarly: whether blocks are stored as they are, so that their places are known before they are encoded.
    mutating func begin(
        snapshot: SnapshotStateMachine, rawBytes: [Int], layout: SegmentLayout, isPlacedEarly: Bool, hasObjects: Bool
    ) {
        precondition(flight == nil && !isClosing, "one save at a time")
        flight = Flight(
            snapshot: snapshot, rawBytes: rawBytes, layout: layout, isPlacedEarly: isPlacedEarly,
            unwritten: rawBytes.count, needsObjects: hasObjects)
    }

    /// What a worker should do now; nil: wait.
    mutating func nextAction() -> Action? {
        guard let flight else { return isClosing ? .stop : nil }
        if flight.isEnding { return nil }
        if flight.isFailed { return flight.busy == 0 ? end(.abandon) : nil }
        if let job = takeFenced() { return .capture(job) }
        if flight.needsObjects { return takeObjects() }
        if let job = takeStaged() { return .write(job) }
        if let job = takePending(from: nil) { return .capture(job) }
        return flight.unwritten == 0 && flight.busy == 0 ? end(.commit) : nil
    }

    private mutating func end(_ action: Action) -> Action {
        flight?.isEnding = true
        return action
    }

    private mutating func takeObjects() -> Action {
        flight?.needsObjects = false
        flight?.busy += 1
        return .encodeObjects
    }

    private mutating func takeStaged() -> Job? {
        guard let flight, !flight.staged.isEmpty else { return nil }
        self.flight?.busy += 1
        return self.flight?.staged.removeFirst()
    }

    private mutating func takeFenced() -> Job? {
        for (group, waiters) in fences where waiters > 0 {
            if let job = takePending(from: group) { return job }
        }
        return nil
    }

    private mutating func takePending(from group: Int?) -> Job? {
        guard slots.hasFree, let block = flight?.snapshot.take(from: group), let slot = slots.take() else { return nil }
        flight?.busy += 1
        return Job(block: block, slot: slot, place: placeEarly(block))
    }

    private mutating func placeEarly(_ block: Int) -> SegmentLayout.Place? {
        guard let flight, flight.isPlacedEarly else { return nil }
        return self.flight?.layout.place(bytes: flight.rawBytes[block])
    }

    /// Where an encoded block goes.
    mutating func place(storedBytes: Int) -> SegmentLayout.Place {
        guard let place = flight?.layout.place(bytes: storedBytes) else { preconditionFailure("no save in flight") }
        return place
    }

    mutating func finishedObjects() { flight?.busy -= 1 }

    /// The block is in its slot.
    /// - Returns: whether it was the last to leave the trainer's memory.
    mutating func finishedCapture(_ job: Job) -> Bool {
        flight?.snapshot.finish(job.block)
        flight?.busy -= 1
        guard let flight, !flight.isFailed else {
            slots.giveBack(job.slot)
            return false
        }
        self.flight?.staged.append(job)
        return flight.snapshot.isReleased()
    }

    mutating func finishedWrite(_ job: Job) {
        slots.giveBack(job.slot)
        flight?.busy -= 1
        flight?.unwritten -= 1
    }

    /// The save has failed or was cancelled: nothing more is captured, fences open as soon as running copies end.
    /// - Parameter job: what the caller was writing, if it was.
    mutating func failed(writing job: Job? = nil) {
        if let job {
            slots.giveBack(job.slot)
            flight?.busy -= 1
        }
        guard let flight, !flight.isEnding else { return }
        self.flight?.isFailed = true
        self.flight?.snapshot.cancel()
        for job in flight.staged { slots.giveBack(job.slot) }
        self.flight?.staged = []
    }

    /// The committed or abandoned save is over.
    mutating func ended() {
        precondition(flight?.isEnding == true && flight?.busy == 0)
        flight = nil
    }

    // MARK: Fences

    /// - Parameter group: nil means every group.
    mutating func beginFence(_ group: Int?) { fences[group, default: 0] += 1 }

    mutating func endFence(_ group: Int?) {
        let waiters = fences[group, default: 0] - 1
        precondition(waiters >= 0)
        fences[group] = waiters == 0 ? nil : waiters
    }

    func isReleased(_ group: Int?) -> Bool { flight?.snapshot.isReleased(group) ?? true }

    enum FenceStep: Equatable {
        case pass
        case capture(Job)
    }

    /// What a thread that waits at a fence should do; nil: wait.
    mutating func nextStep(atFence group: Int?) -> FenceStep? {
        if isReleased(group) { return .pass }
        return takePending(from: group).map(FenceStep.capture)
    }

    /// No further saves; workers stop when the one in flight is over.
    mutating func close() { isClosing = true }
}
