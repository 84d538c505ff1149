/// Progress of the blocks of a snapshot out of the trainer's memory. It is a plain value: the
/// caller holds the lock and copies the bytes.
///
///     pending --take--> capturing --finish--> captured
package struct SnapshotStateMachine: Sendable {
    private enum State { case pending, capturing, captured }

    /// The blocks of one group and lane. They are taken in order, except those that are requested
    /// by number.
    private struct Queue {
        var next = 0
        var end = 0
        var pending = 0
        var hasPending: Bool { pending > 0 }
    }

    private let groupOfBlock: [Int]
    private let queueOfBlock: [Int]
    private var states: [State]
    /// Number of blocks of each group that are not captured yet.
    private var remaining: [Int]
    /// Number of blocks of all groups that are not captured yet.
    private var remainingInAll: Int
    /// Queue of each lane of each group, at `group * laneCount + lane`.
    private var queues: [Queue]
    /// The first group that may have a pending block, for each lane.
    private var firstGroup: [Int]
    private var isCancelled = false
    private static var laneCount: Int { CaptureLane.allCases.count }

    /// Starts a snapshot with every block pending.
    ///
    /// - Parameters:
    ///   - blocks: group and lane of each block. Blocks of one group and lane are adjacent; groups
    ///     ascend.
    ///   - groupCount: number of groups.
    package init(blocks: [(group: Int, lane: CaptureLane)], groupCount: Int) {
        groupOfBlock = blocks.map(\.group)
        queueOfBlock = blocks.map { Self.queue($0.group, $0.lane) }
        states = [State](repeating: .pending, count: blocks.count)
        remaining = [Int](repeating: 0, count: groupCount)
        remainingInAll = blocks.count
        queues = [Queue](repeating: Queue(), count: groupCount * Self.laneCount)
        firstGroup = [Int](repeating: 0, count: Self.laneCount)
        for (index, block) in blocks.enumerated() {
            let queue = Self.queue(block.group, block.lane)
            if !queues[queue].hasPending { queues[queue] = Queue(next: index, end: index) }
            precondition(queues[queue].end == index, "the blocks of group \(block.group) are not neighbours")
            queues[queue].end = index + 1
            queues[queue].pending += 1
            remaining[block.group] += 1
        }
    }

    package var blockCount: Int { states.count }

    private static func queue(_ group: Int, _ lane: CaptureLane) -> Int { group * laneCount + lane.rawValue }

    /// Returns whether `take(by:of:)` would return a block.
    ///
    /// - Parameters:
    ///   - lane: lane of the block.
    ///   - group: index of the group; nil for any group.
    /// - Returns: true if a block is pending and the snapshot is not cancelled.
    package func hasPending(in lane: CaptureLane, of group: Int? = nil) -> Bool { nextQueue(lane, group) != nil }

    private func nextQueue(_ lane: CaptureLane, _ group: Int?) -> Int? {
        guard !isCancelled else { return nil }
        if let group {
            let queue = Self.queue(group, lane)
            return queues[queue].hasPending ? queue : nil
        }
        for group in firstGroup[lane.rawValue]..<remaining.count where queues[Self.queue(group, lane)].hasPending {
            return Self.queue(group, lane)
        }
        return nil
    }

    /// Takes the next pending block of a lane. The caller must call `finish` for it.
    ///
    /// - Parameters:
    ///   - lane: lane of the block.
    ///   - group: index of the group; nil for the first group that has a pending block.
    /// - Returns: the index of the block; nil if none is pending or the snapshot is cancelled.
    package mutating func take(by lane: CaptureLane, of group: Int? = nil) -> Int? {
        guard let queue = nextQueue(lane, group) else { return nil }
        if group == nil { firstGroup[lane.rawValue] = queue / Self.laneCount }
        while states[queues[queue].next] != .pending { queues[queue].next += 1 }
        let block = queues[queue].next
        take(block)
        return block
    }

    /// Returns whether a block can still be taken.
    ///
    /// - Parameter block: index of the block.
    /// - Returns: true if the block is pending and the snapshot is not cancelled.
    package func isPending(_ block: Int) -> Bool { !isCancelled && states[block] == .pending }

    /// Takes a particular block, which must be pending. The caller must call `finish` for it.
    ///
    /// - Parameter block: index of the block.
    package mutating func take(_ block: Int) {
        precondition(isPending(block), "block \(block) would be captured twice")
        states[block] = .capturing
        queues[queueOfBlock[block]].pending -= 1
    }

    /// Marks a block as captured: the trainer may change its memory.
    ///
    /// - Parameter block: index of a block that was taken and not finished yet.
    package mutating func finish(_ block: Int) {
        precondition(states[block] == .capturing, "block \(block) was not being captured")
        states[block] = .captured
        remaining[groupOfBlock[block]] -= 1
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

    /// Returns whether no block of a group remains in the trainer's memory.
    ///
    /// - Parameter group: index of the group; nil for all groups.
    /// - Returns: true if all of its blocks are captured or dropped.
    package func isReleased(_ group: Int? = nil) -> Bool { (group.map { remaining[$0] } ?? remainingInAll) == 0 }
}
