package import CheckpointCodecs

/// The memory that captured chunks pass through: one mapping, cut into equal slots, allocated and touched once. Its size
/// is a hard budget. Which slot is free is `SlotAllocator`'s affair.
package final class StagingArena: Sendable {
    package let slotBytes: Int
    package let slotCount: Int
    private let buffer: AlignedBuffer

    /// - Throws: `OutOfMemory` if the system refuses the memory.
    package init(slotBytes: Int, slotCount: Int) throws(OutOfMemory) {
        precondition(slotBytes > 0 && slotBytes % 4096 == 0 && slotCount > 0)
        self.slotBytes = slotBytes
        self.slotCount = slotCount
        buffer = try AlignedBuffer(count: slotBytes * slotCount)
    }

    package func region(ofSlot slot: Int) -> MemoryRegion {
        precondition((0..<slotCount).contains(slot))
        return buffer.region[slot * slotBytes..<(slot + 1) * slotBytes]
    }
}

/// Hands out slots. Slots are equal, so nothing can overlap or fragment, and they may come back in any order.
package struct SlotAllocator {
    private var free: [Int]
    private var isFree: [Bool]
    /// The most slots that were ever in use at once.
    package private(set) var highWaterMark = 0

    package init(slotCount: Int) {
        free = Array((0..<slotCount).reversed())
        isFree = [Bool](repeating: true, count: slotCount)
    }

    package var usedCount: Int { isFree.count - free.count }
    package var hasFree: Bool { !free.isEmpty }

    package mutating func take() -> Int? {
        guard let slot = free.popLast() else { return nil }
        isFree[slot] = false
        highWaterMark = max(highWaterMark, usedCount)
        return slot
    }

    package mutating func giveBack(_ slot: Int) {
        precondition(!isFree[slot], "slot \(slot) was given back twice")
        isFree[slot] = true
        free.append(slot)
    }
}
