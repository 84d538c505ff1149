internal import CheckpointStorage
internal import CheckpointSegments
internal import CheckpointState

/// The progress of one save: its blocks, its objects, its end. A plain value inside `PipelineStateMachine`.
struct Flight {
    /// The blocks and objects of a save.
    struct Plan {
        var snapshot: SnapshotStateMachine
        /// Number of each group in the snapshot.
        var groupIndex: [String: Int]
        var layout: SegmentLayout
        /// True if blocks are stored without encoding. Their positions are then known before they
        /// are written, and those of one tensor are consecutive.
        var isPlacedEarly: Bool
        var hasObjects: Bool
    }

    /// A block in flight.
    struct Job: Equatable {
        /// Id of the save.
        var flight: Int
        var block: Int
        /// Index of its slot in the arena.
        var slot: Int
        var lane: CaptureLane
        /// Position in the segments; set at capture, or else when the block is encoded.
        var place: SegmentLayout.Place?
    }

    /// A block whose position depends on earlier blocks.
    private struct Taken {
        var block: Int
        /// The block and the bytes left to store; nil until it is captured.
        var captured: (job: Job, rawBytes: Int)?
    }

    let id: Int
    private let groupIndex: [String: Int]
    private let isPlacedEarly: Bool
    private(set) var snapshot: SnapshotStateMachine
    private var layout: SegmentLayout
    /// Blocks of each lane that were taken and have no position yet, in order. Here and below,
    /// space for every slot is reserved: these arrays never grow.
    private var taken: [[Taken]]
    /// Blocks that were captured and not encoded yet; `encoded` has those that are encoded and not
    /// written yet.
    private(set) var captured: [Job] = []
    private(set) var encoded: [Job] = []
    private(set) var needsObjects: Bool
    /// Number of actions that threads are executing.
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

    /// Number of blocks that were captured and wait for a thread.
    var backlog: Int { captured.count + encoded.count }
    /// True if everything is written, and may be sealed and published.
    var isWritten: Bool { !isFailed && !isEnding && unwritten == 0 && busy == 0 && !needsObjects }
    /// True if the save failed and no thread uses anything of it.
    var isAbandonable: Bool { isFailed && !isEnding && busy == 0 }

    mutating func end() { isEnding = true }

    /// Returns the number of a group. Nil, which means all groups, if there is no such group: the
    /// name may be a mistake, and capturing too little would tear the checkpoint.
    func group(named name: String?) -> Int? { name.flatMap { groupIndex[$0] } }

    // MARK: Blocks

    /// Takes the next block of a lane, which must have one pending.
    mutating func take(_ lane: CaptureLane, _ group: Int?, slot: Int) -> Job {
        guard let block = snapshot.take(by: lane, of: group) else { preconditionFailure("no block is pending") }
        return job(block, slot, lane)
    }

    /// Takes a given block, which must be pending.
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

    /// Records that a block is in its slot.
    ///
    /// - Parameters:
    ///   - job: the block.
    ///   - rawBytes: bytes left to store; 0 if the store has all of it, and its slot is free again.
    /// - Returns: true if it was the last block to be captured.
    mutating func finishedCapture(_ job: Job, rawBytes: Int) -> Bool {
        snapshot.finish(job.block)
        busy -= 1
        guard !isFailed else { return false }
        if rawBytes == 0 { unwritten -= 1 }
        if isPlacedEarly { place(job, rawBytes) } else if rawBytes > 0 { captured.append(job) }
        return snapshot.isReleased()
    }

    /// Assigns positions in the order in which blocks were taken: to this block, unless an earlier
    /// one is still being copied, and to blocks that waited for it.
    private mutating func place(_ job: Job, _ rawBytes: Int) {
        let lane = job.lane.rawValue
        guard let index = taken[lane].firstIndex(where: { $0.block == job.block }) else { preconditionFailure("\(job) was not taken") }
        // A block with nothing to store needs no position, and has no slot any more: if it stayed
        // here, the array could grow without limit.
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

    /// Takes an encoded block to write.
    ///
    /// - Parameter newest: true for the block encoded last, false for the one encoded first.
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

    /// Returns the position of a block of objects.
    mutating func place(storedBytes: Int) -> SegmentLayout.Place { layout.place(bytes: storedBytes) }

    // MARK: Failing

    /// Drops all blocks that no thread is working on.
    ///
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

    /// Records that an action failed.
    mutating func gaveUp() { busy -= 1 }
}
