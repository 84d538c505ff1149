/// Which blocks of a snapshot have left the trainer's memory. A plain value: callers hold the lock and do the copying.
///
///     pending --take--> capturing --finish--> captured
package struct SnapshotStateMachine: Sendable {
    private enum State { case pending, capturing, captured }

    private let groupOfBlock: [Int]
    private var states: [State]
    /// Blocks of each group that are not captured yet.
    private var remaining: [Int]
    /// First block of each group that may be pending, and one past its last.
    private var cursors: [(next: Int, end: Int)]
    private var isCancelled = false

    /// - Parameter groupOfBlock: the group of each block, ascending: blocks of a group are neighbours.
    package init(groupOfBlock: [Int], groupCount: Int) {
        self.groupOfBlock = groupOfBlock
        states = [State](repeating: .pending, count: groupOfBlock.count)
        remaining = [Int](repeating: 0, count: groupCount)
        cursors = [(next: Int, end: Int)](repeating: (0, 0), count: groupCount)
        for (block, group) in groupOfBlock.enumerated() {
            if remaining[group] == 0 { cursors[group] = (block, block) }
            precondition(cursors[group].end == block, "the blocks of group \(group) are not neighbours")
            cursors[group].end = block + 1
            remaining[group] += 1
        }
    }

    /// The next block to capture: of `group` if given, else the first pending one. It must be finished later.
    package mutating func take(from group: Int? = nil) -> Int? {
        for candidate in group.map({ $0..<$0 + 1 }) ?? 0..<cursors.count where hasPending(candidate) {
            let block = cursors[candidate].next
            cursors[candidate].next += 1
            precondition(states[block] == .pending, "block \(block) would be captured twice")
            states[block] = .capturing
            return block
        }
        return nil
    }

    private func hasPending(_ group: Int) -> Bool { !isCancelled && cursors[group].next < cursors[group].end }

    package mutating func finish(_ block: Int) {
        precondition(states[block] == .capturing, "block \(block) was not being captured")
        states[block] = .captured
        remaining[groupOfBlock[block]] -= 1
    }

    /// Lets go of everything not taken yet; what is being captured must still be finished.
    package mutating func cancel() {
        guard !isCancelled else { return }
        isCancelled = true
        for group in cursors.indices { remaining[group] -= cursors[group].end - cursors[group].next }
    }

    /// Whether nothing of `group` is left in the trainer's memory; of all groups if nil.
    package func isReleased(_ group: Int? = nil) -> Bool {
        group.map { remaining[$0] == 0 } ?? remaining.allSatisfy { $0 == 0 }
    }
}
