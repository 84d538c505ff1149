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
