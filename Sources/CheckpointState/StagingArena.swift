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

    /// Makes copies from and to a device quick.
    package func prepare(for device: any Device) throws(DeviceError) {
        unsafe try device.prepareHostMemory(buffer.region.mutableBytes)
    }

    package func release(from device: any Device) { unsafe device.releaseHostMemory(buffer.region.mutableBytes) }

    package func region(ofSlot slot: Int) -> MemoryRegion {
        precondition((0..<slotCount).contains(slot))
        return buffer.region[slot * slotBytes..<(slot + 1) * slotBytes]
    }
}

/// Hands out slots. Slots are equal, so nothing can overlap or fragment, and they may come back in any order.
///
/// Besides the slots that are handed out there are spares, each held by a worker to encode into: when a block has been encoded, the
/// worker keeps the slot it was in and the block moves on in the spare, so that nothing is copied.
package struct SlotAllocator: Sendable {
    private var free: [Int]
    private var isFree: [Bool]
    private let slotCount: Int
    /// The most slots that were ever in use at once, spares not counted.
    package private(set) var highWaterMark = 0

    package init(slotCount: Int, spareCount: Int = 0) {
        self.slotCount = slotCount
        free = Array((0..<slotCount).reversed())
        isFree = [Bool](repeating: true, count: slotCount) + [Bool](repeating: false, count: spareCount)
    }

    /// The spares, each to be held by one worker.
    package var spares: Range<Int> { slotCount..<isFree.count }
    package var usedCount: Int { slotCount - free.count }
    package var freeCount: Int { free.count }
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
