internal import CheckpointCodecs

/// Allocator of slots. All slots have one size, so nothing can overlap or fragment, and slots can
/// be returned in any order.
///
/// In addition to the allocated slots there are spares, each held by a worker to encode into: when
/// a block has been encoded, the worker keeps the slot that the block was in, and the block moves
/// on in the spare, so nothing is copied.
///
/// Slots that have no memory yet are not free; they are added when they have.
package struct SlotAllocator: Sendable {
    private var free: [Int]
    private var isFree: [Bool]
    private let slotCount: Int
    /// Slots without memory.
    private var untouched: Range<Int>
    /// Number of slots that are being given memory.
    private var touchingCount = 0
    /// Number of slots with which nobody would have waited for one.
    private var wantedCount = 0
    /// Maximum number of slots in use at one time, not counting spares.
    package private(set) var highWaterMark = 0

    /// Creates an allocator with all slots free that have memory.
    ///
    /// - Parameters:
    ///   - slotCount: number of slots that can be taken.
    ///   - touchedCount: number of these that have memory; nil for all.
    ///   - spareCount: number of additional slots that workers hold from the start.
    package init(slotCount: Int, touchedCount: Int? = nil, spareCount: Int = 0) {
        self.slotCount = slotCount
        let touched = touchedCount ?? slotCount
        untouched = touched..<slotCount
        free = Array((0..<touched).reversed())
        free.reserveCapacity(slotCount)
        let others = slotCount - touched + spareCount
        isFree = [Bool](repeating: true, count: touched) + [Bool](repeating: false, count: others)
    }

    /// The spare slots, one for each worker.
    package var spares: Range<Int> { slotCount..<isFree.count }
    /// Number of slots that have memory.
    package var touchedCount: Int { slotCount - untouched.count - touchingCount }
    package var usedCount: Int { touchedCount - free.count }
    package var freeCount: Int { free.count }
    package var hasFree: Bool { !free.isEmpty }
    /// True if a slot should be given memory in the background, which happens one at a time:
    /// training has the other cores.
    package var needsMemory: Bool {
        touchedCount < wantedCount && !untouched.isEmpty && touchingCount == 0
    }

    /// Takes a free slot.
    ///
    /// - Returns: the index of the slot; nil if all slots are in use.
    package mutating func take() -> SlotIndex? {
        guard let slot = free.popLast() else { return nil }
        isFree[slot] = false
        highWaterMark = max(highWaterMark, usedCount)
        return SlotIndex(slot)
    }

    /// Records that somebody waits for slots.
    ///
    /// - Parameter count: how many more than are in use would have been enough.
    package mutating func want(_ count: Int) { wantedCount = max(wantedCount, usedCount + count) }

    /// Takes a slot without memory, to give it some.
    ///
    /// - Returns: the index of the slot; nil if there is none.
    package mutating func takeUntouched() -> SlotIndex? {
        guard let slot = untouched.popFirst() else { return nil }
        touchingCount += 1
        return SlotIndex(slot)
    }

    /// Adds a slot that has memory now.
    ///
    /// - Parameter slot: what `takeUntouched` has returned.
    package mutating func addTouched(_ slot: SlotIndex) {
        precondition(touchingCount > 0, "slot \(slot) was not taken")
        touchingCount -= 1
        giveBack(slot)
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
