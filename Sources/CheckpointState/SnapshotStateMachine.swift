/// Progress of the blocks of a snapshot out of the trainer's memory. It is a plain value: the
/// caller holds the lock and copies the bytes.
///
///     pending --take--> capturing --finish--> captured
package struct SnapshotStateMachine: Sendable {
    private enum State { case pending, capturing, captured }

    /// The blocks of one unit and lane. They are taken in order, except those that are requested
    /// by number.
    private struct Queue {
        var next = 0
        var end = 0
        var pending = 0
        var hasPending: Bool { pending > 0 }
    }

    private let unitOfBlock: [Int]
    private let queueOfBlock: [Int]
    private var states: [State]
    /// Number of blocks of each unit that are not captured yet.
    private var remaining: [Int]
    /// Number of blocks of all units that are not captured yet.
    private var remainingInAll: Int
    /// Queue of each lane of each unit, at `unit * laneCount + lane`.
    private var queues: [Queue]
    /// The first unit that may have a pending block, for each lane.
    private var firstUnit: [Int]
    private var isCancelled = false
    private static var laneCount: Int { CaptureLane.allCases.count }

    /// Starts a snapshot with every block pending.
    ///
    /// - Parameters:
    ///   - blocks: unit and lane of each block. Blocks of one unit and lane are adjacent; units
    ///     ascend.
    ///   - unitCount: number of units.
    package init(blocks: [(unit: UnitIndex, lane: CaptureLane)], unitCount: Int) {
        unitOfBlock = blocks.map(\.unit.rawValue)
        queueOfBlock = blocks.map { Self.queue($0.unit.rawValue, $0.lane) }
        states = [State](repeating: .pending, count: blocks.count)
        remaining = [Int](repeating: 0, count: unitCount)
        remainingInAll = blocks.count
        queues = [Queue](repeating: Queue(), count: unitCount * Self.laneCount)
        firstUnit = [Int](repeating: 0, count: Self.laneCount)
        for (index, block) in blocks.enumerated() {
            let queue = Self.queue(block.unit.rawValue, block.lane)
            if !queues[queue].hasPending { queues[queue] = Queue(next: index, end: index) }
            precondition(queues[queue].end == index, "the blocks of \(block.unit) are not neighbours")
            queues[queue].end = index + 1
            queues[queue].pending += 1
            remaining[block.unit.rawValue] += 1
        }
    }

    package var blockCount: Int { states.count }
    /// Number of blocks that are neither captured nor dropped.
    package var remainingCount: Int { remainingInAll }

    private static func queue(_ unit: Int, _ lane: CaptureLane) -> Int { unit * laneCount + lane.rawValue }

    /// Returns whether `take(by:of:)` would return a block.
    ///
    /// - Parameters:
    ///   - lane: lane of the block.
    ///   - unit: the unit; nil for any unit.
    /// - Returns: true if a block is pending and the snapshot is not cancelled.
    package func hasPending(in lane: CaptureLane, of unit: UnitIndex? = nil) -> Bool {
        nextQueue(lane, unit) != nil
    }

    private func nextQueue(_ lane: CaptureLane, _ unit: UnitIndex?) -> Int? {
        guard !isCancelled else { return nil }
        if let unit {
            let queue = Self.queue(unit.rawValue, lane)
            return queues[queue].hasPending ? queue : nil
        }
        let units = firstUnit[lane.rawValue]..<remaining.count
        return units.lazy.map { Self.queue($0, lane) }.first { queues[$0].hasPending }
    }

    /// Takes the next pending block of a lane. The caller must call `finish` for it.
    ///
    /// - Parameters:
    ///   - lane: lane of the block.
    ///   - unit: the unit; nil for the first unit that has a pending block.
    /// - Returns: the block; nil if none is pending or the snapshot is cancelled.
    package mutating func take(by lane: CaptureLane, of unit: UnitIndex? = nil) -> BlockIndex? {
        guard let queue = nextQueue(lane, unit) else { return nil }
        if unit == nil { firstUnit[lane.rawValue] = queue / Self.laneCount }
        while states[queues[queue].next] != .pending { queues[queue].next += 1 }
        let block = BlockIndex(queues[queue].next)
        take(block)
        return block
    }

    /// Returns whether a block can still be taken.
    ///
    /// - Parameter block: the block.
    /// - Returns: true if the block is pending and the snapshot is not cancelled.
    package func isPending(_ block: BlockIndex) -> Bool {
        !isCancelled && states[block.rawValue] == .pending
    }

    /// Takes a particular block, which must be pending. The caller must call `finish` for it.
    ///
    /// - Parameter block: the block.
    package mutating func take(_ block: BlockIndex) {
        precondition(isPending(block), "block \(block) would be captured twice")
        states[block.rawValue] = .capturing
        queues[queueOfBlock[block.rawValue]].pending -= 1
    }

    /// Marks a block as captured: the trainer may change its memory.
    ///
    /// - Parameter index: a block that was taken and not finished yet.
    package mutating func finish(_ index: BlockIndex) {
        let block = index.rawValue
        precondition(states[block] == .capturing, "block \(block) was not being captured")
        states[block] = .captured
        remaining[unitOfBlock[block]] -= 1
        remainingInAll -= 1
    }

    /// Drops all blocks that are not taken yet. Blocks in state `capturing` must still be finished.
    package mutating func cancel() {
        guard !isCancelled else { return }
        isCancelled = true
        for (index, queue) in queues.enumerated() {
            remaining[index / Self.laneCount] -= queue.pending
            remainingInAll -= queue.pending
        }
    }

    /// Returns whether no block of a unit remains in the trainer's memory.
    ///
    /// - Parameter unit: the unit; nil for all units.
    /// - Returns: true if all of its blocks are captured or dropped.
    package func isReleased(_ unit: UnitIndex? = nil) -> Bool {
        (unit.map { remaining[$0.rawValue] } ?? remainingInAll) == 0
    }
}
