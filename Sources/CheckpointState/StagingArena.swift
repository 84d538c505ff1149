package import CheckpointCodecs

/// The staging memory for captured chunks: one mapping, divided into equal slots, allocated and
/// touched once (the pre-allocated host buffer of the first DataStates-LLM paper). Its size is a
/// hard limit. `SlotAllocator` tracks the free slots.
package final class StagingArena: Sendable {
    package let slotBytes: Int
    package let slotCount: Int
    private let buffer: AlignedBuffer

    /// Allocates the arena.
    ///
    /// - Parameters:
    ///   - slotBytes: size of a slot in bytes; a multiple of 4096.
    ///   - slotCount: number of slots, including spares.
    /// - Throws: `OutOfMemory` if the system refuses the memory.
    package init(slotBytes: Int, slotCount: Int) throws(OutOfMemory) {
        precondition(slotBytes > 0 && slotBytes % 4096 == 0 && slotCount > 0)
        self.slotBytes = slotBytes
        self.slotCount = slotCount
        buffer = try AlignedBuffer(count: slotBytes * slotCount)
    }

    /// Prepares the arena for fast copies from and to a device, which pins it, for example.
    ///
    /// - Parameter device: the device that will copy.
    /// - Throws: `DeviceError`; copies still work, possibly more slowly.
    package func prepare(for device: any TensorDevice) throws(DeviceError) {
        unsafe try device.prepareHostMemory(buffer.region.mutableBytes)
    }

    /// Undoes `prepare(for:)`.
    ///
    /// - Parameter device: a device for which `prepare(for:)` did not throw. No copy is in flight.
    package func release(from device: any TensorDevice) { unsafe device.releaseHostMemory(buffer.region.mutableBytes) }

    /// Returns the memory of a slot.
    ///
    /// - Parameter slot: index of the slot.
    /// - Returns: `slotBytes` bytes.
    package func region(ofSlot slot: SlotIndex) -> MemoryRegion {
        let slot = slot.rawValue
        precondition((0..<slotCount).contains(slot))
        return buffer.region[slot * slotBytes..<(slot + 1) * slotBytes]
    }
}

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
