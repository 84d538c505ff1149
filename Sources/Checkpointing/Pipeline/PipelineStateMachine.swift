internal import CheckpointStorage
internal import CheckpointSegments
internal import CheckpointState

/// Decides what each thread of the save pipeline does next. A plain value: no locks, no waiting, no I/O; the pipeline holds the lock,
/// carries out the action, and reports back.
///
/// Saves fly one behind the other. Each block of a save goes
///
///     pending --capture--> captured --encode--> encoded --write--> written
///
/// through one slot of the arena. Every kind of thread has its own part in this, so that none waits for another's work: workers capture
/// and encode, one writer writes, one thread encodes objects, others copy from devices. While no thread waits, workers run only a
/// few blocks ahead of the writer, so that its blocks are still in the processor's cache. While a thread waits at a fence, they
/// capture the blocks it waits for, as long as there are slots.
struct PipelineStateMachine {
    typealias Job = Flight.Job

    /// Kinds of thread.
    enum Role: Int, CaseIterable {
        /// Capture from the host's memory, encode, and end saves.
        case worker
        /// Capture from a device's memory.
        case device
        /// Write blocks: one thread, because two would contend for the file's lock and lose a third of the speed.
        case writer
        /// Encode objects.
        case objects
    }

    enum Action: Equatable {
        case capture(Job)
        case encode(Job)
        case write(Job)
        case encodeObjects(flight: Int)
        /// Everything is written: seal and publish.
        case commit(flight: Int)
        /// The save has failed and nothing of it is in use any more: clean up.
        case abandon(flight: Int)
        case stop
    }

    /// An action before it is taken. Indices are positions in `flights`.
    private enum Choice {
        case capture(Int, CaptureLane, group: Int?)
        case encode(Int), write(Int), objects(Int), commit(Int), abandon(Int)
        case stop
    }

    /// Somebody who waits until state may change.
    private struct Fence {
        let id: Int
        /// What must leave the trainer's memory: of each save in flight a group, or everything.
        let waitsFor: [(flight: Int, group: Int?)]
    }

    /// How many blocks may wait for the writer before workers stop capturing ahead of need.
    static let lookahead = 4

    private(set) var slots: SlotAllocator
    /// Oldest first: they commit in this order.
    private var flights: [Flight] = []
    private var nextFlight = 0
    private var fences: [Fence] = []
    private var nextFence = 0
    private var isClosing = false
    private let slotCount: Int
    /// Whether blocks are written while others of the save are still being captured.
    private let streams: Bool

    /// - Parameter workerCount: workers, each of which holds one spare slot if blocks are encoded.
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

    /// - Returns: the flight's id.
    mutating func begin(_ plan: Flight.Plan) -> Int {
        precondition(!isClosing, "a save after the last one")
        defer { nextFlight += 1 }
        flights.append(Flight(id: nextFlight, plan, slotCount: slotCount))
        return nextFlight
    }

    /// What a thread should do now; nil: wait.
    mutating func nextAction(for role: Role) -> Action? {
        guard let choice = choice(for: role) else { return nil }
        switch choice {
        case .capture(let index, let lane, let group): return take(index, lane, group).map(Action.capture)
        case .encode(let index): return .encode(flights[index].takeCaptured())
        case .write(let index):
            // In a full arena most blocks have left the processor's cache, but the newest has not. Else the order of the file is best.
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

    /// Whether `nextAction` has something for a thread of this kind.
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

    /// The oldest save may commit; any that has failed may be cleaned up.
    private func ending() -> Choice? {
        if flights.first?.isWritten == true { return .commit(0) }
        return flights.firstIndex { $0.isAbandonable }.map(Choice.abandon)
    }

    private mutating func take(_ index: Int, _ lane: CaptureLane, _ group: Int?) -> Job? {
        slots.take().map { flights[index].take(lane, group, slot: $0) }
    }

    /// The block is in its slot.
    /// - Parameter rawBytes: what is left of it to store; 0 if the store has all of it already.
    /// - Returns: whether it was the last to leave the trainer's memory.
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

    /// Where a block of objects goes.
    mutating func place(flight: Int, storedBytes: Int) -> SegmentLayout.Place {
        flights[index(of: flight)].place(storedBytes: storedBytes)
    }

    /// The save has failed or was cancelled: nothing more of it is captured, fences open as soon as running copies end.
    /// - Parameter job: what the caller was encoding or writing, if it was.
    mutating func failed(flight: Int, holding job: Job? = nil) {
        let index = index(of: flight)
        if let job {
            slots.giveBack(job.slot)
            flights[index].gaveUp()
        }
        for slot in flights[index].fail() { slots.giveBack(slot) }
    }

    /// The committed or abandoned save is over.
    mutating func ended(flight: Int) {
        let index = index(of: flight)
        precondition(flights[index].isEnding && flights[index].busy == 0)
        flights.remove(at: index)
    }

    /// No further saves; threads stop when those in flight are over.
    mutating func close() { isClosing = true }

    // MARK: Backpressure

    enum Admission: Equatable {
        /// The save may begin, once these unstarted ones have been given up for it.
        case begin(instead: [Int])
        /// An earlier save has to end first.
        case wait
        case refuse
    }

    /// Whether another save may begin. At most two fly when nothing may be lost: one that is being written out, and one that is being
    /// captured.
    func admission(_ policy: CheckpointerOptions.Backpressure) -> Admission {
        switch policy {
        case .block: flights.count < 2 ? .begin(instead: []) : .wait
        case .skip: flights.isEmpty ? .begin(instead: []) : .refuse
        case .replacePending: flights.count - unstarted.count < 3 ? .begin(instead: unstarted) : .refuse
        }
    }

    /// Saves of which nothing has been captured although an earlier one is in flight: those that wait for the disk.
    var unstarted: [Int] { flights.dropFirst().filter { !$0.isStarted && !$0.isFailed }.map(\.id) }

    // MARK: Fences

    /// - Parameter name: the group that is going to change; nil means every group.
    /// - Returns: the fence's id.
    mutating func beginFence(_ name: String?) -> Int {
        defer { nextFence += 1 }
        fences.append(Fence(id: nextFence, waitsFor: flights.map { ($0.id, $0.group(named: name)) }))
        return nextFence
    }

    mutating func endFence(_ id: Int) {
        guard let index = fences.firstIndex(where: { $0.id == id }) else { preconditionFailure("no fence \(id)") }
        fences.remove(at: index)
    }

    /// Whether nothing of any save in flight is in the trainer's memory any more.
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

    /// What a thread should do that needs one certain block out of the trainer's memory; nil: wait for a slot. `pass` means that the
    /// block is out, or that another thread is taking it out.
    mutating func nextStep(for block: Int, of flight: Int) -> FenceStep? {
        guard let index = flights.firstIndex(where: { $0.id == flight }), flights[index].snapshot.isPending(block) else { return .pass }
        return slots.take().map { .capture(flights[index].take(block, slot: $0)) }
    }

    /// What a thread that waits at a fence should do; nil: wait.
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
