internal import CheckpointStorage
internal import CheckpointSegments
internal import CheckpointState

/// The progress of one save: its blocks, its objects, its end. A plain value inside `PipelineStateMachine`.
struct Flight {
    /// What a save consists of.
    struct Plan {
        var snapshot: SnapshotStateMachine
        /// The number by which the snapshot knows a group.
        var groupIndex: [String: Int]
        var layout: SegmentLayout
        /// Whether blocks are stored as they are, so that their places are known before they are encoded and those of one tensor
        /// lie one after the other.
        var isPlacedEarly: Bool
        var hasObjects: Bool
    }

    /// A block on its way.
    struct Job: Equatable {
        /// The save that it belongs to.
        var flight: Int
        var block: Int
        /// Where in the arena it is.
        var slot: Int
        var lane: CaptureLane
        /// Where in the segments it goes; fixed when it is captured, or else when it is encoded.
        var place: SegmentLayout.Place?
    }

    /// A block whose place depends on those before it.
    private struct Taken {
        var block: Int
        /// Once it is captured: the block, and what is left of it to store.
        var captured: (job: Job, rawBytes: Int)?
    }

    let id: Int
    private let groupIndex: [String: Int]
    private let isPlacedEarly: Bool
    private(set) var snapshot: SnapshotStateMachine
    private var layout: SegmentLayout
    /// Of each lane, the blocks taken that have no place yet, in order. Room for every slot is reserved, here and below: they never grow.
    private var taken: [[Taken]]
    /// Out of the trainer's memory, not encoded yet; and encoded, not written yet.
    private(set) var captured: [Job] = []
    private(set) var encoded: [Job] = []
    private(set) var needsObjects: Bool
    /// Actions that threads are carrying out.
    private(set) var busy = 0
    private var unwritten: Int
    private(set) var isStarted = false
    private(set) var isFailed = false
    private(set) var isEnding = false

    init(id: Int, _ plan: Plan, slotCount: Int) {
        self.id = id
        snapshot = plan.snapshot
        groupIndex = plan.groupIndex
        layout = plan.layout
        isPlacedEarly = plan.isPlacedEarly
        needsObjects = plan.hasObjects
        unwritten = plan.snapshot.blockCount
        taken = CaptureLane.allCases.map { _ in [] }
        for lane in taken.indices { taken[lane].reserveCapacity(slotCount) }
        captured.reserveCapacity(slotCount)
        encoded.reserveCapacity(slotCount)
    }

    /// Blocks that have been captured and wait for a thread.
    var backlog: Int { captured.count + encoded.count }
    /// Everything is written, and may be sealed and published.
    var isWritten: Bool { !isFailed && !isEnding && unwritten == 0 && busy == 0 && !needsObjects }
    /// Nothing of the failed save is in use any more.
    var isAbandonable: Bool { isFailed && !isEnding && busy == 0 }

    mutating func end() { isEnding = true }

    /// The number of a group; nil, which stands for all of them, if there is no such group: the name may be a mistake, and a torn
    /// checkpoint its price.
    func group(named name: String?) -> Int? { name.flatMap { groupIndex[$0] } }

    // MARK: Blocks

    /// Takes the next block of a lane, which must have one pending.
    mutating func take(_ lane: CaptureLane, _ group: Int?, slot: Int) -> Job {
        guard let block = snapshot.take(by: lane, of: group) else { preconditionFailure("no block is pending") }
        return job(block, slot, lane)
    }

    /// Takes one certain block, which must be pending.
    mutating func take(_ block: Int, slot: Int) -> Job {
        snapshot.take(block)
        return job(block, slot, .host)
    }

    private mutating func job(_ block: Int, _ slot: Int, _ lane: CaptureLane) -> Job {
        isStarted = true
        busy += 1
        if isPlacedEarly { taken[lane.rawValue].append(Taken(block: block)) }
        return Job(flight: id, block: block, slot: slot, lane: lane)
    }

    /// The block is in its slot.
    /// - Parameter rawBytes: what is left of it to store; 0 if the store has all of it already, and the slot is free again.
    /// - Returns: whether it was the last to leave the trainer's memory.
    mutating func finishedCapture(_ job: Job, rawBytes: Int) -> Bool {
        snapshot.finish(job.block)
        busy -= 1
        guard !isFailed else { return false }
        if rawBytes == 0 { unwritten -= 1 }
        if isPlacedEarly { place(job, rawBytes) } else if rawBytes > 0 { captured.append(job) }
        return snapshot.isReleased()
    }

    /// Gives out places in the order in which blocks were taken: this one's, unless one before it is still being copied, and those of
    /// blocks that waited for it.
    private mutating func place(_ job: Job, _ rawBytes: Int) {
        let lane = job.lane.rawValue
        guard let index = taken[lane].firstIndex(where: { $0.block == job.block }) else { preconditionFailure("\(job) was not taken") }
        // One with nothing to store needs no place, and has no slot any more: kept here, any number of them could gather.
        if rawBytes > 0 { taken[lane][index].captured = (job, rawBytes) } else { taken[lane].remove(at: index) }
        while let next = taken[lane].first?.captured {
            taken[lane].removeFirst()
            var job = next.job
            job.place = layout.place(bytes: next.rawBytes)
            captured.append(job)
        }
    }

    mutating func takeCaptured() -> Job {
        busy += 1
        return captured.removeFirst()
    }

    /// The block is encoded, and is in `job.slot`.
    mutating func finishedEncoding(_ job: Job, storedBytes: Int) {
        busy -= 1
        guard !isFailed else { return }
        var job = job
        if job.place == nil { job.place = layout.place(bytes: storedBytes) }
        encoded.append(job)
    }

    /// - Parameter newest: takes the block that came last, and not the one that came first.
    mutating func takeEncoded(newest: Bool) -> Job {
        busy += 1
        return newest ? encoded.removeLast() : encoded.removeFirst()
    }

    mutating func finishedWriting() {
        busy -= 1
        unwritten -= 1
    }

    // MARK: Objects

    mutating func takeObjects() {
        needsObjects = false
        busy += 1
    }

    mutating func finishedObjects() { busy -= 1 }

    /// Where a block of objects goes.
    mutating func place(storedBytes: Int) -> SegmentLayout.Place { layout.place(bytes: storedBytes) }

    // MARK: Failing

    /// Drops everything that no thread is working on.
    /// - Returns: slots that are free again.
    mutating func fail() -> [Int] {
        guard !isFailed, !isEnding else { return [] }
        isFailed = true
        needsObjects = false
        snapshot.cancel()
        let waiting = taken.joined().compactMap { $0.captured?.job }
        defer { (taken, captured, encoded) = (taken.map { _ in [] }, [], []) }
        return (waiting + captured + encoded).map(\.slot)
    }

    /// The action failed.
    mutating func gaveUp() { busy -= 1 }
}
