internal import CheckpointStorage
internal import CheckpointSegments
internal import CheckpointState

/// Decides the next action of each thread of the save pipeline. A plain value: no locks, no
/// waiting, no I/O. The pipeline holds the lock, executes the action, and reports back.
///
/// Several saves may be in flight, in order. Each block of a save goes
///
///     pending --capture--> captured --encode--> encoded --write--> written
///
/// through one slot of the arena. Every kind of thread has its own part in this, so that none waits for another's work: workers capture
/// and encode, one writer writes, one thread encodes objects, others copy from devices. While no thread waits, workers run only a
/// few blocks ahead of the writer, so that its blocks are still in the processor's cache. While a thread waits at a fence, they
/// capture the blocks it waits for, as long as there are slots.
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
    }

    enum Action: Equatable {
        case capture(Job)
        case encode(Job)
        case write(Job)
        case encodeObjects(flight: Int)
        /// Everything is written: seal and publish.
        case commit(flight: Int)
        /// The save has failed and no thread uses anything of it: clean up.
        case abandon(flight: Int)
        case stop
    }

    /// An action before it is taken. Indices are positions in `flights`.
    private enum Choice {
        case capture(Int, CaptureLane, group: Int?)
        case encode(Int), write(Int), objects(Int), commit(Int), abandon(Int)
        case stop
    }

    /// A thread that waits until state may change.
    private struct Fence {
        let id: Int
        /// State that must be captured first: for each save in flight a group, or everything (nil).
        let waitsFor: [(flight: Int, group: Int?)]
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
    private let slotCount: Int
    /// True to write blocks while others of the save are still being captured.
    private let streams: Bool

    /// Creates an idle machine.
    ///
    /// - Parameters:
    ///   - slotCount: slots of the arena.
    ///   - spareCount: slots that workers hold as spares: one per worker if blocks are encoded.
    ///   - streams: whether to write blocks while others are being captured.
    init(slotCount: Int, spareCount: Int = 0, streams: Bool = true) {
        self.slotCount = slotCount
        self.streams = streams
        slots = SlotAllocator(slotCount: slotCount, spareCount: spareCount)
    }

    var isIdle: Bool { flights.isEmpty }

    private func index(of flight: Int) -> Int {
        guard let index = flights.firstIndex(where: { $0.id == flight }) else { preconditionFailure("no save \(flight)") }
        return index
    }

    // MARK: Saves

    /// Begins a save.
    ///
    /// - Returns: id of the save.
    mutating func begin(_ plan: Flight.Plan) -> Int {
        precondition(!isClosing, "a save after the last one")
        defer { nextFlight += 1 }
        flights.append(Flight(id: nextFlight, plan, slotCount: slotCount))
        return nextFlight
    }

    /// Takes the next action for a thread; nil: wait.
    mutating func nextAction(for role: Role) -> Action? {
        guard let choice = choice(for: role) else { return nil }
        switch choice {
        case .capture(let index, let lane, let group): return take(index, lane, group).map(Action.capture)
        case .encode(let index): return .encode(flights[index].takeCaptured())
        case .write(let index):
            // If the arena is full, most blocks have left the processor's cache, but the newest has
            // not. Otherwise the order of the file is best.
            return .write(flights[index].takeEncoded(newest: !slots.hasFree))
        case .objects(let index):
            flights[index].takeObjects()
            return .encodeObjects(flight: flights[index].id)
        case .commit(let index):
            flights[index].end()
            return .commit(flight: flights[index].id)
        case .abandon(let index):
            flights[index].end()
            return .abandon(flight: flights[index].id)
        case .stop: return .stop
        }
    }

    /// Returns true if `nextAction` has an action for a thread of this kind.
    func hasWork(for role: Role) -> Bool { choice(for: role) != nil }

    private func choice(for role: Role) -> Choice? {
        if flights.isEmpty { return isClosing ? .stop : nil }
        return switch role {
        case .worker:
            capture(.host, isFenced: true) ?? encode() ?? ending() ?? capture(.host, isFenced: false)
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
        guard flights.reduce(0, { $0 + $1.backlog }) < Self.lookahead || !streams else { return nil }
        return flights.firstIndex { $0.snapshot.hasPending(in: lane) }.map { .capture($0, lane, group: nil) }
    }

    private func capture(_ lane: CaptureLane, atFence fence: Fence) -> Choice? {
        for (flight, group) in fence.waitsFor {
            if let index = flights.firstIndex(where: { $0.id == flight }), flights[index].snapshot.hasPending(in: lane, of: group) {
                return .capture(index, lane, group: group)
            }
        }
        return nil
    }

    private func encode() -> Choice? { flights.firstIndex { !$0.captured.isEmpty }.map(Choice.encode) }

    private func write() -> Choice? {
        flights.firstIndex { flight in
            !flight.encoded.isEmpty && (streams || flight.snapshot.isReleased() || !slots.hasFree)
        }.map(Choice.write)
    }

    /// Chooses a save to end: the oldest may commit, and any failed one may be cleaned up.
    private func ending() -> Choice? {
        if flights.first?.isWritten == true { return .commit(0) }
        return flights.firstIndex { $0.isAbandonable }.map(Choice.abandon)
    }

    private mutating func take(_ index: Int, _ lane: CaptureLane, _ group: Int?) -> Job? {
        slots.take().map { flights[index].take(lane, group, slot: $0) }
    }

    /// Records that a block is in its slot.
    ///
    /// - Parameters:
    ///   - job: the block.
    ///   - rawBytes: bytes left to store; 0 if the store has all of it.
    /// - Returns: true if it was the last block to be captured.
    mutating func finishedCapture(_ job: Job, rawBytes: Int) -> Bool {
        let index = index(of: job.flight)
        let wasLast = flights[index].finishedCapture(job, rawBytes: rawBytes)
        if flights[index].isFailed || rawBytes == 0 { slots.giveBack(job.slot) }
        return wasLast
    }

    /// The block is encoded, and is in `job.slot`, which may be another than before.
    mutating func finishedEncoding(_ job: Job, storedBytes: Int) {
        let index = index(of: job.flight)
        flights[index].finishedEncoding(job, storedBytes: storedBytes)
        if flights[index].isFailed { slots.giveBack(job.slot) }
    }

    mutating func finishedWriting(_ job: Job) {
        slots.giveBack(job.slot)
        flights[index(of: job.flight)].finishedWriting()
    }

    mutating func finishedObjects(flight: Int) { flights[index(of: flight)].finishedObjects() }

    /// Returns the position of a block of objects.
    mutating func place(flight: Int, storedBytes: Int) -> SegmentLayout.Place {
        flights[index(of: flight)].place(storedBytes: storedBytes)
    }

    /// Records that a save failed or was cancelled: nothing more of it is captured, and fences open
    /// as soon as running copies end.
    ///
    /// - Parameters:
    ///   - flight: id of the save.
    ///   - job: the block that the caller was encoding or writing; nil if none.
    mutating func failed(flight: Int, holding job: Job? = nil) {
        let index = index(of: flight)
        if let job {
            slots.giveBack(job.slot)
            flights[index].gaveUp()
        }
        for slot in flights[index].fail() { slots.giveBack(slot) }
    }

    /// Removes a save that was committed or abandoned.
    mutating func ended(flight: Int) {
        let index = index(of: flight)
        precondition(flights[index].isEnding && flights[index].busy == 0)
        flights.remove(at: index)
    }

    /// Ends admission of saves; threads stop when the saves in flight have ended.
    mutating func close() { isClosing = true }

    // MARK: Backpressure

    enum Admission: Equatable {
        /// The save may begin, once these unstarted saves have been dropped.
        case begin(instead: [Int])
        /// An earlier save has to end first.
        case wait
        case refuse
    }

    /// Decides on admission of another save. Under policy `block` at most two are in flight: one
    /// that is being written, and one that is being captured.
    func admission(_ policy: CheckpointerOptions.Backpressure) -> Admission {
        switch policy {
        case .block: flights.count < 2 ? .begin(instead: []) : .wait
        case .skip: flights.isEmpty ? .begin(instead: []) : .refuse
        case .replacePending: flights.count - unstarted.count < 3 ? .begin(instead: unstarted) : .refuse
        }
    }

    /// Saves without any captured block although an earlier one is in flight: they wait for the
    /// disk.
    var unstarted: [Int] { flights.dropFirst().filter { !$0.isStarted && !$0.isFailed }.map(\.id) }

    // MARK: Fences

    /// Begins a fence.
    ///
    /// - Parameter name: the group that is going to change; nil means every group.
    /// - Returns: id of the fence.
    mutating func beginFence(_ name: String?) -> Int {
        defer { nextFence += 1 }
        fences.append(Fence(id: nextFence, waitsFor: flights.map { ($0.id, $0.group(named: name)) }))
        return nextFence
    }

    mutating func endFence(_ id: Int) {
        guard let index = fences.firstIndex(where: { $0.id == id }) else { preconditionFailure("no fence \(id)") }
        fences.remove(at: index)
    }

    /// True if no save in flight needs the trainer's memory any more.
    var isReleased: Bool { flights.allSatisfy { $0.snapshot.isReleased() } }

    private func isReleased(_ fence: Fence) -> Bool {
        fence.waitsFor.allSatisfy { flight, group in
            flights.first { $0.id == flight }?.snapshot.isReleased(group) ?? true
        }
    }

    enum FenceStep: Equatable {
        case pass
        case capture(Job)
    }

    /// Returns the next action for a thread that needs a given block to be captured; nil: wait for
    /// a slot. `pass` means that the block was captured, or that another thread is capturing it.
    mutating func nextStep(for block: Int, of flight: Int) -> FenceStep? {
        guard let index = flights.firstIndex(where: { $0.id == flight }), flights[index].snapshot.isPending(block) else { return .pass }
        return slots.take().map { .capture(flights[index].take(block, slot: $0)) }
    }

    /// Returns the next action for a thread at a fence; nil: wait.
    mutating func nextStep(atFence id: Int) -> FenceStep? {
        guard let fence = fences.first(where: { $0.id == id }), !isReleased(fence) else { return .pass }
        guard slots.hasFree else { return nil }
        for lane in CaptureLane.allCases {
            if case .capture(let index, let lane, let group) = capture(lane, atFence: fence) {
                return take(index, lane, group).map(FenceStep.capture)
            }
        }
        return nil
    }
}
