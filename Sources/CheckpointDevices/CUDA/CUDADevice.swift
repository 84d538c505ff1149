internal import CheckpointIO
public import CheckpointState

/// A stream of CUDA work.
public struct CUDAStream: Hashable, Sendable {
    /// The driver's `CUstream`, which is the runtime's `cudaStream_t`, as a number.
    public var handle: UInt
    /// - Parameter handle: a `CUstream` or `cudaStream_t` of the device's primary context; PyTorch's `stream.cuda_stream`.
    public init(handle: UInt) { self.handle = handle }

    /// The legacy default stream (`CU_STREAM_LEGACY`): where work goes that names no stream.
    public static let legacyDefault = CUDAStream(handle: 1)
    /// The calling thread's default stream (`CU_STREAM_PER_THREAD`), of programs built for one default stream per thread.
    public static let perThreadDefault = CUDAStream(handle: 2)
}

/// The memory of one NVIDIA GPU, copied by the CUDA driver, which is loaded when first asked for.
///
///     let gpu = try CUDADevice(trainerStream: CUDAStream(handle: stream))
///     let memory = LentMemory(device: gpu, address: DeviceAddress(rawValue: pointer), byteCount: bytes)
///
/// Copies go through a stream of its own, at the full speed of the bus: the engine's arena is pinned. Each save and each restore
/// orders them after what is in the trainer's stream, without waiting. Streams that the trainer uses besides have to be ordered with that
/// one, as they must be for the trainer's own sake, before it saves and after it is given a permit. Do not save while the trainer's stream
/// is being captured into a graph.
///
/// Not tried on a GPU yet: its tests run against a driver in software where there is no GPU, and against both where there is one.
public final class CUDADevice: Device {
    /// "cuda:0", for messages.
    public var name: String { context.name }
    /// What its maker calls it: "NVIDIA H200".
    public let model: String
    package let context: CUDAContext
    private let trainerStream: CUDAStream
    private let stream: CUDADriver.Handle
    private let events = Monitor(EventPool())
    /// Memory that was pinned here, and not by others before.
    private let registered = Monitor<Set<UInt>>([])

    /// Whether the driver can be loaded and has a GPU to offer.
    public static let isAvailable: Bool = {
        guard case .success(let driver) = CUDADriver.system else { return false }
        var count: Int32 = 0
        guard driver.initialize(0) == CUDAResult.success else { return false }
        let result = unsafe driver.deviceCount(&count)
        return result == CUDAResult.success && count > 0
    }()

    /// - Parameters:
    ///   - ordinal: number of the GPU, as CUDA counts.
    ///   - trainerStream: where the trainer's work on its state goes.
    /// - Throws: if there is no driver, or no such GPU.
    public convenience init(ordinal: Int = 0, trainerStream: CUDAStream = .legacyDefault) throws(DeviceError) {
        try self.init(CUDADriver.system.get(), ordinal: ordinal, trainerStream: trainerStream)
    }

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
        // The process may be ending, and the driver with it: there is nothing to be done about a failure.
        try? context.current { () throws(DeviceError) in
            for event in events { _ = driver.destroyEvent(event) }
            _ = driver.destroyStream(stream)
        }
    }

    private var driver: CUDADriver { context.driver }

    /// Memory of the GPU, of any content, for programs that have no allocator of their own.
    /// - Throws: if the GPU has no room.
    public func allocate(_ byteCount: Int) throws(DeviceError) -> CUDAAllocation { try CUDAAllocation(context, byteCount) }

    // MARK: Host memory

    /// Pins the memory.
    public func prepareHostMemory(_ memory: UnsafeMutableRawBufferPointer) throws(DeviceError) {
        let isRegistered = try context.current { () throws(DeviceError) in
            let result = unsafe driver.registerHost(memory.baseAddress, memory.count, 0x1 /* CU_MEMHOSTREGISTER_PORTABLE */)
            // Another GPU's turn came first; it is pinned for all.
            if result == CUDAResult.alreadyRegistered { return false }
            try context.check(result, "pinning \(memory.count) bytes of host memory")
            return true
        }
        if isRegistered { _ = registered.withLock { $0.insert(UInt(bitPattern: memory.baseAddress)) } }
    }

    /// Unpins the memory.
    public func releaseHostMemory(_ memory: UnsafeMutableRawBufferPointer) {
        guard registered.withLock({ $0.remove(UInt(bitPattern: memory.baseAddress)) }) != nil else { return }
        // Memory that stays pinned is a loss to nobody here.
        try? context.current { () throws(DeviceError) in _ = unsafe driver.unregisterHost(memory.baseAddress) }
    }

    // MARK: Copies

    /// Has the copying stream wait for what is in the trainer's stream now.
    public func orderCopiesAfterTrainer() throws(DeviceError) {
        try context.current { () throws(DeviceError) in
            let slot = try takeEvent()
            // What was recorded is what the stream waits for, whatever the event is used for next (cuStreamWaitEvent).
            defer { events.withLock { $0.giveBack(slot.index) } }
            try context.check(driver.recordEvent(slot.event, trainerStream.handle), "recording an event in the trainer's stream")
            try context.check(driver.waitEvent(stream, slot.event, 0), "ordering copies after the trainer's stream")
        }
    }

    /// Starts to copy from the GPU.
    public func startCopy(
        from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer
    ) throws(DeviceError) -> DeviceCopy {
        try start("copying \(destination.count) bytes from \(Self.text(address))") {
            unsafe driver.copyToHost(destination.baseAddress, address.rawValue, destination.count, stream)
        }
    }

    /// Starts to copy to the GPU.
    public func startCopy(from source: UnsafeRawBufferPointer, to address: DeviceAddress) throws(DeviceError) -> DeviceCopy {
        try start("copying \(source.count) bytes to \(Self.text(address))") {
            unsafe driver.copyToDevice(address.rawValue, source.baseAddress, source.count, stream)
        }
    }

    private static func text(_ address: DeviceAddress) -> String { "address 0x" + String(address.rawValue, radix: 16) }

    /// Puts a copy into the stream, and an event behind it.
    private func start(_ action: @autoclosure () -> String, _ copy: () -> CUDADriver.Result) throws(DeviceError) -> DeviceCopy {
        try context.current { () throws(DeviceError) in
            let slot = try takeEvent()
            do throws(DeviceError) {
                try context.check(copy(), action())
                try context.check(driver.recordEvent(slot.event, stream), "recording an event behind a copy")
            } catch {
                // The copy may be under way, with no event to tell its end.
                _ = driver.synchronizeStream(stream)
                events.withLock { $0.giveBack(slot.index) }
                throw error
            }
            return DeviceCopy(id: UInt64(slot.index))
        }
    }

    /// Waits, asleep, until the copy is complete.
    public func finish(_ copy: DeviceCopy) throws(DeviceError) {
        let slot = Int(clamping: copy.id)
        guard let event = events.withLock({ $0.busyEvent(slot) }) else {
            throw DeviceError("\(name): copy \(copy.id) is not under way; finish each copy once")
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

/// Events, used again and again: there are as many as were ever needed at once.
struct EventPool {
    private(set) var all: [CUDADriver.Handle] = []
    private var free: [Int] = []
    private var isBusy: [Bool] = []

    mutating func take() -> (index: Int, event: CUDADriver.Handle)? {
        guard let index = free.popLast() else { return nil }
        isBusy[index] = true
        return (index, all[index])
    }

    /// Adds one that is taken at once.
    mutating func add(_ event: CUDADriver.Handle) -> (index: Int, event: CUDADriver.Handle) {
        all.append(event)
        isBusy.append(true)
        return (all.count - 1, event)
    }

    /// The event, if it is taken.
    func busyEvent(_ index: Int) -> CUDADriver.Handle? { isBusy.indices.contains(index) && isBusy[index] ? all[index] : nil }

    mutating func giveBack(_ index: Int) {
        precondition(isBusy[index], "event \(index) was given back twice")
        isBusy[index] = false
        free.append(index)
    }
}

/// Memory of a GPU, freed with the object: the `owner` to give to `LentMemory`.
public final class CUDAAllocation: Sendable {
    /// Of the first byte.
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
        // The process may be ending, and the driver with it: there is nothing to be done about a failure.
        try? context.current { () throws(DeviceError) in _ = context.driver.free(address.rawValue) }
    }
}
