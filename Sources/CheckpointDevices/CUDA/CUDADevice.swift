internal import CheckpointIO
public import CheckpointState

/// The memory of one NVIDIA GPU, copied by the CUDA driver, which is loaded on first use.
///
///     let gpu = try CUDADevice(trainerStream: CUDAStream(handle: stream))
///     let memory = LentMemory(device: gpu, address: DeviceAddress(rawValue: pointer), byteCount: bytes)
///
/// The device copies in its own stream, at the full speed of the bus, because the engine's arena is
/// pinned. Each save and each restore orders its copies after the work in the trainer's stream,
/// without waiting. If the trainer uses further streams, it must order them with that stream before
/// it saves and after it receives a permit, as its own work requires anyway. Do not save while the
/// trainer's stream is being captured into a graph.
///
/// Not tested on a GPU yet: the tests run against a driver in software on machines without a GPU,
/// and against both drivers on machines with one.
public final class CUDADevice: TensorDevice {
    /// Name for messages, such as "cuda:0".
    public var name: String { context.name }
    /// Product name of the GPU, such as "NVIDIA H200".
    public let model: String
    package let context: CUDAContext
    private let trainerStream: CUDAStream
    private let stream: CUDADriver.Handle
    private let events = Monitor(EventPool())
    /// Addresses of host memory that this device pinned, excluding memory that others had pinned
    /// before.
    private let registered = Monitor<Set<UInt>>([])

    /// True if the driver can be loaded and has a GPU.
    public static let isAvailable: Bool = {
        guard case .success(let driver) = CUDADriver.system else { return false }
        var count: Int32 = 0
        guard driver.initialize(0) == CUDAResult.success else { return false }
        let result = unsafe driver.deviceCount(&count)
        return result == CUDAResult.success && count > 0
    }()

    /// Opens a GPU.
    ///
    /// - Parameters:
    ///   - ordinal: number of the GPU in CUDA's order.
    ///   - trainerStream: the stream of the trainer's work on its state.
    /// - Throws: `DeviceError` if the driver is missing, or the GPU does not exist.
    public convenience init(ordinal: Int = 0, trainerStream: CUDAStream = .legacyDefault) throws(DeviceError) {
        try self.init(CUDADriver.system.get(), ordinal: ordinal, trainerStream: trainerStream)
    }

    /// Opens a GPU with a particular driver, which a test may replace.
    ///
    /// - Parameters:
    ///   - driver: the driver.
    ///   - ordinal: number of the GPU in CUDA's order.
    ///   - trainerStream: the stream of the trainer's work on its state.
    /// - Throws: `DeviceError` if the GPU does not exist.
    package init(_ driver: CUDADriver, ordinal: Int = 0, trainerStream: CUDAStream = .legacyDefault) throws(DeviceError) {
        let context = try CUDAContext(driver, ordinal: ordinal)
        self.context = context
        self.trainerStream = trainerStream
        model = try context.model()
        stream = try context.current { () throws(DeviceError) in try context.makeStream() }
    }

    deinit {
        let driver = driver, stream = stream
        let events = events.withLock { $0.all }
        // Errors are ignored: the process may be ending and the driver with it, and nothing can be
        // done.
        try? context.current { () throws(DeviceError) in
            for event in events { _ = driver.destroyEvent(event) }
            _ = driver.destroyStream(stream)
        }
    }

    private var driver: CUDADriver { context.driver }

    /// Allocates uninitialized memory on the GPU, for programs without their own allocator.
    ///
    /// - Parameter byteCount: size in bytes.
    /// - Returns: the allocation, which is freed with its last reference.
    /// - Throws: `DeviceError` if the GPU does not have enough free memory.
    public func allocate(_ byteCount: Int) throws(DeviceError) -> CUDAAllocation { try CUDAAllocation(context, byteCount) }

    // MARK: Host memory

    /// Pins host memory for all GPUs (cuMemHostRegister), unless it is pinned already.
    ///
    /// - Parameter memory: the memory to pin.
    /// - Throws: `DeviceError` if the driver refuses, for example because of the limit on locked
    ///   memory.
    public func prepareHostMemory(_ memory: UnsafeMutableRawBufferPointer) throws(DeviceError) {
        let isRegistered = try context.current { () throws(DeviceError) in
            let result = unsafe driver.registerHost(memory.baseAddress, memory.count, 0x1 /* CU_MEMHOSTREGISTER_PORTABLE */)
            // Another GPU pinned the memory first. It is pinned for all GPUs.
            if result == CUDAResult.alreadyRegistered { return false }
            try context.check(result, "pinning \(memory.count) bytes of host memory")
            return true
        }
        if isRegistered { _ = registered.withLock { $0.insert(UInt(bitPattern: memory.baseAddress)) } }
    }

    /// Unpins host memory that this device pinned.
    ///
    /// - Parameter memory: the memory that was passed to `prepareHostMemory`.
    public func releaseHostMemory(_ memory: UnsafeMutableRawBufferPointer) {
        guard registered.withLock({ $0.remove(UInt(bitPattern: memory.baseAddress)) }) != nil else { return }
        // Errors are ignored: memory that stays pinned does no harm here.
        try? context.current { () throws(DeviceError) in _ = unsafe driver.unregisterHost(memory.baseAddress) }
    }

    // MARK: Copies

    /// Makes the copying stream wait for all work that is in the trainer's stream now. Does not
    /// block.
    ///
    /// - Throws: `DeviceError` if an event cannot be recorded or waited for.
    public func orderCopiesAfterTrainer() throws(DeviceError) {
        try context.current { () throws(DeviceError) in
            let slot = try takeEvent()
            // The stream waits for the recorded work, even if the event is recorded again later
            // (cuStreamWaitEvent), so the event can be reused immediately.
            defer { events.withLock { $0.giveBack(slot.index) } }
            try context.check(driver.recordEvent(slot.event, trainerStream.handle), "recording an event in the trainer's stream")
            try context.check(driver.waitEvent(stream, slot.event, 0), "ordering copies after the trainer's stream")
        }
    }

    /// Starts a copy from the GPU in the copying stream.
    ///
    /// - Parameters:
    ///   - address: the first byte in GPU memory.
    ///   - destination: host memory, mapped until `finish` returns or throws.
    /// - Returns: the copy in flight.
    /// - Throws: `DeviceError` if the driver refuses the copy.
    public func startCopy(
        from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer
    ) throws(DeviceError) -> DeviceCopy {
        try start("copying \(destination.count) bytes from \(Self.text(address))") {
            unsafe driver.copyToHost(destination.baseAddress, address.rawValue, destination.count, stream)
        }
    }

    /// Starts a copy to the GPU in the copying stream.
    ///
    /// - Parameters:
    ///   - source: host memory, mapped until `finish` returns or throws.
    ///   - address: the first byte in GPU memory.
    /// - Returns: the copy in flight.
    /// - Throws: `DeviceError` if the driver refuses the copy.
    public func startCopy(from source: UnsafeRawBufferPointer, to address: DeviceAddress) throws(DeviceError) -> DeviceCopy {
        try start("copying \(source.count) bytes to \(Self.text(address))") {
            unsafe driver.copyToDevice(address.rawValue, source.baseAddress, source.count, stream)
        }
    }

    private static func text(_ address: DeviceAddress) -> String { "address 0x" + String(address.rawValue, radix: 16) }

    /// Enqueues a copy, and an event after it, in the copying stream.
    private func start(_ action: @autoclosure () -> String, _ copy: () -> CUDADriver.Result) throws(DeviceError) -> DeviceCopy {
        try context.current { () throws(DeviceError) in
            let slot = try takeEvent()
            do throws(DeviceError) {
                try context.check(copy(), action())
                try context.check(driver.recordEvent(slot.event, stream), "recording an event after a copy")
            } catch {
                // The copy may be in flight without an event that marks its end, so wait for the
                // stream.
                _ = driver.synchronizeStream(stream)
                events.withLock { $0.giveBack(slot.index) }
                throw error
            }
            return DeviceCopy(id: UInt64(slot.index))
        }
    }

    /// Waits until the copy is complete. The thread sleeps while it waits.
    ///
    /// - Parameter copy: a copy that `startCopy` returned and that has not been finished.
    /// - Throws: `DeviceError` if the copy failed, or is not in flight.
    public func finish(_ copy: DeviceCopy) throws(DeviceError) {
        let slot = Int(clamping: copy.id)
        guard let event = events.withLock({ $0.busyEvent(slot) }) else {
            throw DeviceError("\(name): copy \(copy.id) is not running. Finish each copy exactly once")
        }
        defer { events.withLock { $0.giveBack(slot) } }
        try context.current { () throws(DeviceError) in
            try context.check(driver.synchronizeEvent(event), "waiting for a copy")
        }
    }

    private func takeEvent() throws(DeviceError) -> (index: Int, event: CUDADriver.Handle) {
        if let slot = events.withLock({ $0.take() }) { return slot }
        let event = try context.makeEvent()
        return events.withLock { $0.add(event) }
    }
}
