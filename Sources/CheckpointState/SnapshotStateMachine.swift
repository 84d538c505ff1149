/// Which blocks of a snapshot have left the trainer's memory. A plain value: callers hold the lock and do the copying.
///
///     pending --take--> capturing --finish--> captured
package struct SnapshotStateMachine: Sendable {
    private enum State { case pending, capturing, captured }

    /// The blocks of one group that leave by one lane; taken in order, but for those that were asked for by number.
    private struct Queue {
        var next = 0
        var end = 0
        var pending = 0
        var hasPending: Bool { pending > 0 }
    }

    private let groupOfBlock: [Int]
    private let queueOfBlock: [Int]
    private var states: [State]
    /// Blocks of each group that are not captured yet.
    private var remaining: [Int]
    /// Blocks of all groups that are not captured yet.
    private var remainingInAll: Int
    /// Queue of each lane of each group: `group * laneCount + lane`.
    private var queues: [Queue]
    /// The first group that may have something pending, for each lane.
    private var firstGroup: [Int]
    private var isCancelled = false
    private static var laneCount: Int { CaptureLane.allCases.count }

    /// - Parameter blocks: group and lane of each block; those of one group and lane are neighbours, groups ascend.
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

    /// Whether `take` would give a block.
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

    /// The next block to capture by a lane: of `group` if given, else the first pending one. It must be finished later.
    package mutating func take(by lane: CaptureLane, of group: Int? = nil) -> Int? {
        guard let queue = nextQueue(lane, group) else { return nil }
        if group == nil { firstGroup[lane.rawValue] = queue / Self.laneCount }
        while states[queues[queue].next] != .pending { queues[queue].next += 1 }
        let block = queues[queue].next
        take(block)
        return block
    }

    /// Whether a block is still to be taken.
    package func isPending(_ block: Int) -> Bool { !isCancelled && states[block] == .pending }

    /// Takes one certain block, which must be pending. It must be finished later.
    package mutating func take(_ block: Int) {
        precondition(isPending(block), "block \(block) would be captured twice")
        states[block] = .capturing
        queues[queueOfBlock[block]].pending -= 1
    }

    package mutating func finish(_ block: Int) {
        precondition(states[block] == .capturing, "block \(block) was not being captured")
        states[block] = .captured
        remaining[groupOfBlock[block]] -= 1
        remainingInAll -= 1
    }

    /// Lets go of everything not taken yet; what is being captured must still be finished.
    package mutating func cancel() {
        guard !isCancelled else { return }
        isCancelled = true
        for (index, queue) in queues.enumerated() {
            remaining[index / Self.laneCount] -= queue.pending
            remainingInAll -= queue.pending
        }
    }

    /// Whether nothing of `group` is left in the trainer's memory; of all groups if nil.
    package func isReleased(_ group: Int? = nil) -> Bool { (group.map { remaining[$0] } ?? remainingInAll) == 0 }
}
