internal import CheckpointCodecs

/// Allocator of slots. All slots have one size, so nothing can overlap or fragment, and slots can
/// be returned in any order.
///
/// In addition to the allocated slots there are spares, each held by a worker to encode into: when
/// a block has been encoded, the worker keeps the slot that the block was in, and the block moves
/// on in the spare, so nothing is copied.
package struct SlotAllocator: Sendable {
    private var free: [Int]
    private var isFree: [Bool]
    private let slotCount: Int
    /// Maximum number of slots in use at one time, not counting spares.
    package private(set) var highWaterMark = 0

    /// Creates an allocator with all slots free.
    ///
    /// - Parameters:
    ///   - slotCount: number of slots that can be taken.
    ///   - spareCount: number of additional slots that workers hold from the start.
    package init(slotCount: Int, spareCount: Int = 0) {
        self.slotCount = slotCount
        free = Array((0..<slotCount).reversed())
        isFree = [Bool](repeating: true, count: slotCount) + [Bool](repeating: false, count: spareCount)
    }

    /// The spare slots, one for each worker.
    package var spares: Range<Int> { slotCount..<isFree.count }
    package var usedCount: Int { slotCount - free.count }
    package var freeCount: Int { free.count }
    package var hasFree: Bool { !free.isEmpty }

    /// Takes a free slot.
    ///
    /// - Returns: the index of the slot; nil if all slots are in use.
    package mutating func take() -> SlotIndex? {
        guard let slot = free.popLast() else { return nil }
        isFree[slot] = false
        highWaterMark = max(highWaterMark, usedCount)
        return SlotIndex(slot)
    }

    /// Returns a slot to the allocator.
    ///
    /// - Parameter slot: index of a slot that is in use: one that was taken, or a worker's spare.
    package mutating func giveBack(_ slot: SlotIndex) {
        let slot = slot.rawValue
        precondition(!isFree[slot], "slot \(slot) was given back twice")
        isFree[slot] = true
        free.append(slot)
    }
}
