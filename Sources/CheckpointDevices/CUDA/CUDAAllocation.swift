internal import CheckpointIO
public import CheckpointState

/// Memory of a GPU that is freed with the object. Pass it to `LentMemory` as `owner`.
public final class CUDAAllocation: Sendable {
    /// Address of the first byte.
    public let address: DeviceAddress
    /// Size in bytes.
    public let byteCount: Int
    private let context: CUDAContext

    init(_ context: CUDAContext, _ byteCount: Int) throws(DeviceError) {
        var address: UInt64 = 0
        try context.current { () throws(DeviceError) in
            unsafe try context.check(context.driver.allocate(&address, byteCount), "allocating \(byteCount) bytes")
        }
        self.address = DeviceAddress(rawValue: address)
        self.byteCount = byteCount
        self.context = context
    }

    deinit {
        let context = context, address = address
        // Errors are ignored: the process may be ending and the driver with it, and nothing can be
        // done.
        try? context.current { () throws(DeviceError) in _ = context.driver.free(address.rawValue) }
    }
}
