internal import CheckpointSegments
internal import CheckpointState
internal import CheckpointStorage

/// Decides the next action of each thread of the save pipeline. A plain value: no locks, no
/// waiting, no I/O. The pipeline holds the lock, executes the action, and reports back.
///
/// Several saves may be in flight, in order. Each block of a save goes
///
///     pending --capture--> captured --encode--> encoded --write--> written
///
/// through one slot of the arena. Every kind of thread has its own stage, so that none waits for
/// the work of another: workers capture and encode, one writer writes, one thread encodes objects,
/// others copy from devices. While no thread waits, workers run only a few blocks ahead of the
/// writer, so that its blocks are still in the processor's cache. While a thread waits at a fence,
/// they capture the blocks it waits for, as long as there are slots; and when a fence is expected
/// before they would be through, they capture first, so that it need not wait.
struct PipelineStateMachine {
    typealias Job = Flight.Job

    /// Kind of a pipeline thread.
    enum Role: Int, CaseIterable {
        /// Captures from the host's memory, encodes, and ends saves.
        case worker
        /// Captures from a device's memory.
        case device
        /// Writes blocks. One thread, because two would contend for the file's lock and lose a
        /// third of the speed.
        case writer
        /// Encodes objects.
        case objects

        /// Number of the channel of the lock on which threads of this kind wait; 0 is for all
        /// threads outside the pipeline.
        var channel: Int { rawValue + 1 }
    }

    enum Action: Equatable {
        case capture(Job)
        case encode(Flight.EncodeJob)
        case write(Flight.WriteJob)
        /// Every block is captured: report it to the observers. An action of its own, because the
        /// thread that captured the last block may be the trainer's.
        case reportCapture(FlightID)
        case encodeObjects(FlightID)
        /// Everything is written: seal and publish.
        case commit(FlightID)
        /// The save has failed and no thread uses anything of it: clean up.
        case abandon(FlightID)
        /// Give memory to a slot of the arena.
        case touch(SlotIndex)
        case stop
    }

    /// An action before it is taken. Indices are positions in `flights`.
    private enum Choice {
        case capture(Int, CaptureLane, unit: UnitIndex?)
        case encode(Int), write(Int), report(Int), objects(Int), commit(Int), abandon(Int)
        case touch, stop
    }

    /// A thread that waits until state may change.
    private struct Fence {
        let id: FenceID
        /// State that must be captured first: for each save in flight a unit, or everything (nil).
        let waitsFor: [(flight: FlightID, unit: UnitIndex?)]
    }

    /// Number of blocks waiting for the writer at which workers stop capturing ahead of need.
    static let lookahead = 4

    private(set) var slots: SlotAllocator
    /// Saves in flight, oldest first: they commit in this order.
    private var flights: [Flight] = []
    private var nextFlight = 0
    private var fences: [Fence] = []
    private var nextFence = 0
    private var isClosing = false
    /// True if blocks would be left at the next fence, if workers did not capture first.
    var isLate = false { didSet { if isLate, !slots.hasFree { slots.want(uncapturedCount) } } }
    private let slotCount: Int
    /// True to write blocks while others of the save are still being captured.
    private let streams: Bool

    /// Creates an idle machine.
    ///
    /// - Parameters:
    ///   - slotCount: slots of the arena.
    ///   - touchedCount: how many of them have memory; nil for all.
    ///   - spareCount: slots that workers hold as spares: one per worker if blocks are encoded.
    ///   - streams: whether to write blocks while others are being captured.
    init(slotCount: Int, touchedCount: Int? = nil, spareCount: Int = 0, streams: Bool = true) {
        self.slotCount = slotCount
        self.streams = streams
        slots = SlotAllocator(
            slotCount: slotCount, touchedCount: touchedCount, spareCount: spareCount)
    }

    var isIdle: Bool { flights.isEmpty }
    /// Number of blocks that are still in the trainer's memory.
    var uncapturedCount: Int { flights.reduce(0) { $0 + $1.snapshot.remainingCount } }

    private func index(of flight: FlightID) -> Int {
        guard let index = flights.firstIndex(where: { $0.id == flight }) else { preconditionFailure("no \(flight)") }
        return index
    }

    // MARK: Saves

    /// Begins a save.
    ///
    /// - Returns: id of the save.
    mutating func begin(_ plan: Flight.Plan) -> FlightID {
        precondition(!isClosing, "a save after the last one")
        defer { nextFlight += 1 }
        let id = FlightID(nextFlight)
        flights.append(Flight(id: id, plan, slotCount: slotCount))
        return id
    }

    /// Takes the next action for a thread; nil: wait.
    mutating func nextAction(for role: Role) -> Action? {
        guard let choice = choice(for: role) else { return nil }
        switch choice {
        case .capture(let index, let lane, let unit): return take(index, lane, unit).map(Action.capture)
        case .encode(let index):
            let isAwaited = isAwaited(flights[index])
            return .encode(flights[index].takeToEncode(isAwaited: isAwaited))
        case .write(let index):
            // If the arena is full, most blocks have left the processor's cache, but the newest has
            // not. Otherwise the order of the file is best.
            return .write(flights[index].takeToWrite(newest: !slots.hasFree))
        case .report(let index):
            flights[index].takeCaptureReport()
            return .reportCapture(flights[index].id)
        case .objects(let index):
            flights[index].takeObjects()
            return .encodeObjects(flights[index].id)
        case .commit(let index):
            flights[index].beginCommit()
            return .commit(flights[index].id)
        case .abandon(let index):
            flights[index].beginAbandoning()
            return .abandon(flights[index].id)
        case .touch: return slots.takeUntouched().map(Action.touch)
        case .stop: return .stop
        }
    }

    /// Returns true if `nextAction` has an action for a thread of this kind.
    func hasWork(for role: Role) -> Bool { choice(for: role) != nil }

    private func choice(for role: Role) -> Choice? {
        if flights.isEmpty { return isClosing ? .stop : role == .worker ? touch() : nil }
        return switch role {
        case .worker:
            capture(.host, isFenced: true) ?? captureLate() ?? captureReport() ?? encode()
                ?? ending() ?? capture(.host, isFenced: false) ?? touch()
        case .device: capture(.device, isFenced: true) ?? capture(.device, isFenced: false)
        case .writer: write()
        case .objects: flights.firstIndex { $0.needsObjects }.map(Choice.objects)
        }
    }

    private func capture(_ lane: CaptureLane, isFenced: Bool) -> Choice? {
        // The last free slot is for a thread at a fence, which would otherwise be woken to find it taken.
        guard slots.freeCount > (fences.isEmpty ? 0 : 1) else { return nil }
        if isFenced {
            for fence in fences {
                if let choice = capture(lane, atFence: fence) { return choice }
            }
            return nil
        }
        let isAhead = flights.reduce(0) { $0 + $1.backlog } >= Self.lookahead
        guard !isAhead || isLate || !streams else { return nil }
        return flights.firstIndex { $0.snapshot.hasPending(in: lane) }.map { .capture($0, lane, unit: nil) }
    }

    private func captureLate() -> Choice? { isLate ? capture(.host, isFenced: false) : nil }

    private func touch() -> Choice? { slots.needsMemory ? .touch : nil }

    private func capture(_ lane: CaptureLane, atFence fence: Fence) -> Choice? {
        for (flight, unit) in fence.waitsFor {
            if let index = flights.firstIndex(where: { $0.id == flight }), flights[index].snapshot.hasPending(in: lane, of: unit) {
                return .capture(index, lane, unit: unit)
            }
        }
        return nil
    }

    private func encode() -> Choice? { flights.firstIndex { !$0.toEncode.isEmpty }.map(Choice.encode) }

    private func captureReport() -> Choice? {
        flights.firstIndex { $0.needsCaptureReport }.map(Choice.report)
    }

    private func write() -> Choice? {
        flights.firstIndex { flight in
            !flight.toWrite.isEmpty && (streams || flight.snapshot.isReleased() || !slots.hasFree)
        }.map(Choice.write)
    }

    /// Chooses a save to end: the oldest may commit, and any failed one may be cleaned up.
    private func ending() -> Choice? {
        if flights.first?.isWritten == true { return .commit(0) }
        return flights.firstIndex { $0.isAbandonable }.map(Choice.abandon)
    }

    private mutating func take(_ index: Int, _ lane: CaptureLane, _ unit: UnitIndex?) -> Job? {
        slots.take().map { flights[index].take(lane, unit, slot: $0) }
    }

    /// Records that a block is in its slot.
    ///
    /// - Parameters:
    ///   - job: the block.
    ///   - captured: the part of it that is to be stored.
    /// - Returns: true if it was the last block to be captured.
    mutating func finishedCapture(_ job: Job, _ captured: CapturedBlock) -> Bool {
        let index = index(of: job.flight)
        let wasLast = flights[index].finishedCapture(job, captured)
        if flights[index].isFailed || captured.rawBytes == 0 { slots.giveBack(job.slot) }
        return wasLast
    }

    /// Records that a block is encoded.
    ///
    /// - Parameters:
    ///   - encode: the block.
    ///   - encoded: the result.
    ///   - slot: the slot that it is in now, which may be another than before.
    mutating func finishedEncoding(_ encode: Flight.EncodeJob, _ encoded: EncodedBlock, slot: SlotIndex) {
        let index = index(of: encode.job.flight)
        flights[index].finishedEncoding(encode, encoded, slot: slot)
        if flights[index].isFailed { slots.giveBack(slot) }
    }

    mutating func finishedWriting(_ job: Job) {
        slots.giveBack(job.slot)
        flights[index(of: job.flight)].finishedWriting()
    }

    mutating func finishedTouching(_ slot: SlotIndex) { slots.addTouched(slot) }

    /// Records that the report of the capture, or the encoding of the objects, has ended.
    mutating func finishedAction(of flight: FlightID) { flights[index(of: flight)].endAction() }

    /// Returns the place of a block of objects.
    mutating func place(of flight: FlightID, storedBytes: Int) -> SegmentLayout.Place {
        flights[index(of: flight)].place(storedBytes: storedBytes)
    }

    /// Records that a save failed or was cancelled: nothing more of it is captured, and fences open
    /// as soon as running copies end.
    ///
    /// - Parameters:
    ///   - flight: id of the save.
    ///   - job: the block that the caller was encoding or writing; nil if none.
    mutating func failed(_ flight: FlightID, holding job: Job? = nil) {
        let index = index(of: flight)
        if let job {
            slots.giveBack(job.slot)
            flights[index].endAction()
        }
        for slot in flights[index].fail() { slots.giveBack(slot) }
    }

    /// Records that a save was committed or abandoned: it no longer blocks another save.
    mutating func settled(_ flight: FlightID) { flights[index(of: flight)].settle() }

    /// Removes a settled save, of which the observers know now.
    mutating func ended(_ flight: FlightID) {
        let index = index(of: flight)
        precondition(flights[index].isSettled, "\(flight) is not settled")
        flights.remove(at: index)
    }

    /// Ends admission of saves; threads stop when the saves in flight have ended.
    mutating func close() { isClosing = true }

    // MARK: Backpressure

    enum Admission: Equatable {
        /// The save may begin, once these unstarted saves have been dropped.
        case begin(instead: [FlightID])
        /// An earlier save has to end first.
        case wait
        case refuse
    }

    /// Decides on admission of another save. Under policy `block` at most two are in flight: one
    /// that is being written, and one that is being captured.
    func admission(_ policy: CheckpointerOptions.Backpressure) -> Admission {
        let count = flights.count { !$0.isSettled }
        return switch policy {
        case .block: count < 2 ? .begin(instead: []) : .wait
        case .skip: count == 0 ? .begin(instead: []) : .refuse
        case .replacePending:
            count - unstarted.count < 3 ? .begin(instead: unstarted) : .refuse
        }
    }

    /// Saves without any captured block although an earlier one is in flight: they wait for the
    /// disk.
    var unstarted: [FlightID] { flights.dropFirst().filter(\.isUnstarted).map(\.id) }

    // MARK: Fences

    /// Begins a fence.
    ///
    /// - Parameter name: the group that is going to change; nil means every group.
    /// - Returns: id of the fence.
    mutating func beginFence(_ name: String?) -> FenceID {
        defer { nextFence += 1 }
        let waitsFor = flights.map { (flight: $0.id, unit: $0.unit(ofGroup: name)) }
        fences.append(Fence(id: FenceID(nextFence), waitsFor: waitsFor))
        return FenceID(nextFence)
    }

    mutating func endFence(_ id: FenceID) {
        guard let index = fences.firstIndex(where: { $0.id == id }) else { preconditionFailure("no \(id)") }
        fences.remove(at: index)
    }

    /// True if no save in flight needs the trainer's memory any more.
    var isReleased: Bool { flights.allSatisfy { $0.snapshot.isReleased() } }

    /// Returns whether no save in flight needs the memory of a group; nil means every group.
    func isReleased(_ group: String?) -> Bool {
        flights.allSatisfy { $0.snapshot.isReleased($0.unit(ofGroup: group)) }
    }

    private func isReleased(_ fence: Fence) -> Bool {
        fence.waitsFor.allSatisfy { flight, unit in
            flights.first { $0.id == flight }?.snapshot.isReleased(unit) ?? true
        }
    }

    /// Returns whether a thread at a fence waits for a block of a save.
    private func isAwaited(_ flight: Flight) -> Bool {
        fences.contains { fence in
            fence.waitsFor.contains {
                $0.flight == flight.id && !flight.snapshot.isReleased($0.unit)
            }
        }
    }

    /// An action of a thread that waits until state may change.
    enum FenceAction: Equatable {
        case pass
        case capture(Job)
        /// Give memory to a slot, rather than wait for one.
        case touch(SlotIndex)
    }

    /// Returns the next action for a thread that needs a given block to be captured; nil: wait for
    /// a slot. `pass` means that the block was captured, or that another thread is capturing it.
    mutating func nextAction(for block: BlockIndex, of flight: FlightID) -> FenceAction? {
        guard let index = flights.firstIndex(where: { $0.id == flight }), flights[index].snapshot.isPending(block) else { return .pass }
        guard let slot = slots.take() else { return touchToCapture() }
        return .capture(flights[index].take(block, slot: slot))
    }

    /// There is no slot for a block that should be captured now.
    private mutating func touchToCapture() -> FenceAction? {
        slots.want(uncapturedCount)
        return slots.takeUntouched().map(FenceAction.touch)
    }

    /// Returns the next action for a thread at a fence; nil: wait.
    mutating func nextAction(atFence id: FenceID) -> FenceAction? {
        guard let fence = fences.first(where: { $0.id == id }), !isReleased(fence) else { return .pass }
        guard slots.hasFree else { return touchToCapture() }
        for lane in CaptureLane.allCases {
            if case .capture(let index, let lane, let unit) = capture(lane, atFence: fence) {
                return take(index, lane, unit).map(FenceAction.capture)
            }
        }
        return nil
    }
}

extension PipelineStateMachine.Action {
    /// The save that the action concerns.
    var flight: FlightID? {
        switch self {
        case .capture(let job): job.flight
        case .encode(let encode): encode.job.flight
        case .write(let write): write.job.flight
        case .reportCapture(let flight), .encodeObjects(let flight), .commit(let flight),
            .abandon(let flight):
            flight
        case .touch, .stop: nil
        }
    }
}
