package import CheckpointCodecs

/// The staging memory for captured chunks: one mapping, divided into equal slots, allocated once
/// (the pre-allocated host buffer of the first DataStates-LLM paper). Its size is a hard limit.
/// Slots may be left without memory until they are touched. `SlotAllocator` tracks the free slots.
package final class StagingArena: Sendable {
    package let slotBytes: Int
    package let slotCount: Int
    private let buffer: AlignedBuffer
    /// The slots that are in memory from the start, spares not counted, or all.
    private let prepared: MemoryRegion

    /// Allocates the arena.
    ///
    /// - Parameters:
    ///   - slotBytes: size of a slot in bytes; a multiple of 4096.
    ///   - slotCount: number of slots, including spares.
    ///   - untouched: slots that take no memory until they are touched; not the first one.
    /// - Throws: `OutOfMemory` if the system refuses the memory.
    package init(
        slotBytes: Int, slotCount: Int, untouched: Range<Int> = 0..<0
    ) throws(OutOfMemory) {
        precondition(slotBytes > 0 && slotBytes % 4096 == 0 && slotCount > 0)
        precondition(untouched.isEmpty || untouched.lowerBound > 0)
        precondition(untouched.upperBound <= slotCount)
        self.slotBytes = slotBytes
        self.slotCount = slotCount
        let bytes = untouched.lowerBound * slotBytes..<untouched.upperBound * slotBytes
        buffer = try AlignedBuffer(count: slotBytes * slotCount, untouched: bytes)
        prepared = untouched.isEmpty ? buffer.region : buffer.region[0..<bytes.lowerBound]
    }

    /// Prepares the arena for fast copies from and to a device, which pins it, for example. Slots
    /// that have no memory yet are left out.
    ///
    /// - Parameter device: the device that will copy.
    /// - Throws: `DeviceError`; copies still work, possibly more slowly.
    package func prepare(for device: any TensorDevice) throws(DeviceError) {
        unsafe try device.prepareHostMemory(prepared.mutableBytes)
    }

    /// Undoes `prepare(for:)`.
    ///
    /// - Parameter device: a device for which `prepare(for:)` did not throw. No copy is in flight.
    package func release(from device: any TensorDevice) {
        unsafe device.releaseHostMemory(prepared.mutableBytes)
    }

    /// Gives memory to a slot that was left without.
    ///
    /// - Parameter slot: index of the slot; nothing is in it.
    package func touch(_ slot: SlotIndex) {
        unsafe region(ofSlot: slot).mutableBytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

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
