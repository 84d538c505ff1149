internal import CheckpointIO
public import CheckpointState

/// Memory of a `SimulatedDevice` that is freed with the object. Pass it to `LentMemory` as `owner`.
public final class SimulatedAllocation: Sendable {
    /// Address of the first byte, a multiple of 256.
    public let address: DeviceAddress
    /// Size in bytes.
    public let byteCount: Int
    private let memory: SimulatedMemory

    init(_ memory: SimulatedMemory, byteCount: Int) throws(DeviceError) {
        address = try memory.allocate(byteCount)
        self.byteCount = byteCount
        self.memory = memory
    }

    deinit { memory.free(address) }
}
