internal import CheckpointCodecs
internal import CheckpointIO
public import CheckpointState

/// A device in software. It tests state providers and training loops that keep state on a device,
/// on machines without one.
///
///     let device = try SimulatedDevice()
///     let weights = try device.allocate(4096)
///     let memory = LentMemory(device: device, address: weights.address, byteCount: 4096, owner: weights)
///
/// It behaves like a real device. One of its threads executes the trainer's work (`submit`) later
/// and in order. Another thread executes copies in order, at a given speed. Copies wait for work
/// submitted before the last `orderCopiesAfterTrainer`, and for nothing else: if that call, or the
/// fence before an update, is missing, copies see memory from before or in the middle of the work
/// that should have come first. Misuse is an error, and is counted in `report`.
public final class SimulatedDevice: TensorDevice {
    /// Work of the trainer that changes device memory.
    public typealias Kernel = @Sendable (SimulatedMemory) throws -> Void

    /// Calls of the device that can be made to fail.
    public enum Fault: String, Sendable, CaseIterable {
        /// `startCopy` throws.
        case start
        /// A copy is started, and `finish` throws.
        case copy
        /// `orderCopiesAfterTrainer` throws.
        case order
        /// `prepareHostMemory` throws.
        case prepare
    }

    /// Counts of the operations on the device so far.
    public struct Report: Sendable, Equatable {
        /// Copies started from device memory.
        public internal(set) var copiesToHost = 0
        /// Copies started to device memory.
        public internal(set) var copiesToDevice = 0
        /// Total bytes of the copies in both directions.
        public internal(set) var copiedBytes = 0
        /// Copies from or to host memory that had not been prepared.
        public internal(set) var unpreparedCopies = 0
        /// Copies that are started and not finished yet.
        public internal(set) var unfinishedCopies = 0
        /// Number of regions of host memory that are prepared now.
        public internal(set) var preparedRegions = 0
        /// Misuses: copies outside allocations, copies finished twice or never started, memory
        /// prepared twice, kernels that threw.
        public internal(set) var misuses: [String] = []
    }

    /// Name for messages.
    public let name: String
    /// The memory that kernels see. Direct reads and writes show its current contents, whether or
    /// not submitted work is complete.
    public let memory: SimulatedMemory
    private let queues: Monitor<SimulatedQueues>
    private let threads: [WorkerThread]

    /// Creates a device and starts its two threads.
    ///
    /// - Parameters:
    ///   - name: name for messages.
    ///   - memoryBytes: size of its memory in bytes.
    ///   - bytesPerSecond: speed of copies; nil means as fast as possible.
    ///   - latency: additional time per copy.
    /// - Throws: `DeviceError` if the system cannot create the threads.
    public init(
        name: String = "simulated:0", memoryBytes: Int = 256 << 20, bytesPerSecond: Int? = nil, latency: Duration = .zero
    ) throws(DeviceError) {
        self.name = name
        let memory = SimulatedMemory(capacity: memoryBytes, device: name)
        let queues = Monitor(SimulatedQueues(device: name))
        self.memory = memory
        self.queues = queues
        let pace = Pace(bytesPerSecond: bytesPerSecond, latency: latency)
        do throws(ThreadError) {
            let stream = try WorkerThread(name: "sim-stream") { Self.runKernels(queues, memory) }
            do throws(ThreadError) {
                threads = [stream, try WorkerThread(name: "sim-copies") { Self.runCopies(queues, memory, pace) }]
            } catch {
                queues.withLock { $0.isClosing = true }
                stream.join()
                throw error
            }
        } catch { throw DeviceError("\(name): \(error). Raise the limit on threads (ulimit -u)") }
    }

    /// Drops pending work and joins the threads. A kernel must therefore not hold the last
    /// reference to the device.
    deinit {
        queues.withLock { $0.isClosing = true }
        for thread in threads { thread.join() }
    }

    /// Counts of the operations on the device so far.
    public var report: Report {
        queues.withLock { queues in
            var report = queues.report
            report.unfinishedCopies = queues.unfinishedCopies
            return report
        }
    }

    /// Allocates memory of zeros.
    ///
    /// - Parameter byteCount: size in bytes.
    /// - Returns: the allocation, which is freed with its last reference.
    /// - Throws: `DeviceError` if the device or the host does not have enough free memory.
    public func allocate(_ byteCount: Int) throws(DeviceError) -> SimulatedAllocation {
        try SimulatedAllocation(memory, byteCount: byteCount)
    }

    // MARK: The trainer's stream

    /// Submits work, to be executed after all work submitted before. Returns immediately.
    ///
    /// - Parameter kernel: the work; runs on a thread of the device. If it throws, the error is
    ///   recorded as a misuse.
    public func submit(_ kernel: @escaping Kernel) { queues.withLock { $0.submit(kernel) } }

    /// Waits until all work submitted so far is complete.
    public func synchronize() {
        let count = queues.withLock { $0.submittedCount }
        queues.waitFor { $0.isComplete(count) ? () : nil }
    }

    /// Makes a call fail once.
    ///
    /// - Parameters:
    ///   - fault: the call that fails.
    ///   - count: number of calls of this kind that succeed before it.
    public func inject(_ fault: Fault, after count: Int = 0) { queues.withLock { $0.inject(fault, after: count) } }

    private static func runKernels(_ queues: Monitor<SimulatedQueues>, _ memory: SimulatedMemory) {
        while case .run(let kernel) = queues.waitFor({ $0.nextKernel() }) {
            do { try kernel(memory) } catch { queues.withLock { _ = $0.misuse("a kernel threw: \(error)") } }
            queues.withLock { $0.finishedKernel() }
        }
    }

    // MARK: Copies

    private struct Pace {
        var bytesPerSecond: Int?
        var latency: Duration

        func duration(of bytes: Int) -> Duration { latency + .seconds(bytesPerSecond.map { Double(bytes) / Double($0) } ?? 0) }
    }

    private static func runCopies(_ queues: Monitor<SimulatedQueues>, _ memory: SimulatedMemory, _ pace: Pace) {
        while case .run(let copy) = queues.waitFor({ $0.nextCopy() }) {
            let duration = pace.duration(of: copy.host.count)
            if duration > .zero { queues.waitFor(timeout: duration) { $0.isClosing ? () : nil } }
            do throws(DeviceError) {
                try memory.copy(copy.host, copy.direction, at: copy.address)
                queues.withLock { $0.finishedCopy(copy.id, copy.failure) }
            } catch {
                // The memory was allocated when the copy was started.
                queues.withLock { $0.finishedCopy(copy.id, $0.misuse("memory was freed while it was copied")) }
            }
        }
    }

    /// Marks host memory as prepared. Copies from and to other memory are counted as unprepared.
    ///
    /// - Parameter memory: the memory to prepare.
    /// - Throws: `DeviceError` if part of the memory is prepared already, or a fault was injected.
    public func prepareHostMemory(_ memory: UnsafeMutableRawBufferPointer) throws(DeviceError) {
        guard let region = unsafe MemoryRegion(memory) else { return }
        try queues.withLock { queues throws(DeviceError) in try queues.prepare(region) }
    }

    /// Undoes `prepareHostMemory`.
    ///
    /// - Parameter memory: the memory that was passed to `prepareHostMemory`.
    public func releaseHostMemory(_ memory: UnsafeMutableRawBufferPointer) {
        guard let region = unsafe MemoryRegion(memory) else { return }
        queues.withLock { $0.release(region) }
    }

    /// Orders the copies that start after this call behind all work submitted so far.
    ///
    /// - Throws: `DeviceError` if a fault was injected.
    public func orderCopiesAfterTrainer() throws(DeviceError) {
        try queues.withLock { queues throws(DeviceError) in try queues.orderCopies() }
    }

    /// Enqueues a copy from the device.
    ///
    /// - Parameters:
    ///   - address: the first byte in device memory.
    ///   - destination: host memory, mapped until `finish` returns or throws.
    /// - Returns: the copy in flight.
    /// - Throws: `DeviceError` if the range is empty or is not inside one allocation, or a fault
    ///   was injected.
    public func startCopy(
        from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer
    ) throws(DeviceError) -> DeviceCopy {
        try unsafe start(.toHost, address, destination)
    }

    /// Enqueues a copy to the device.
    ///
    /// - Parameters:
    ///   - source: host memory, mapped until `finish` returns or throws.
    ///   - address: the first byte in device memory.
    /// - Returns: the copy in flight.
    /// - Throws: `DeviceError` if the range is empty or is not inside one allocation, or a fault
    ///   was injected.
    public func startCopy(from source: UnsafeRawBufferPointer, to address: DeviceAddress) throws(DeviceError) -> DeviceCopy {
        // Safe, because copies to the device only read host memory.
        try unsafe start(.toDevice, address, UnsafeMutableRawBufferPointer(mutating: source))
    }

    private func start(
        _ direction: CopyDirection, _ address: DeviceAddress, _ host: UnsafeMutableRawBufferPointer
    ) throws(DeviceError) -> DeviceCopy {
        guard let region = unsafe MemoryRegion(host) else {
            throw queues.withLock { $0.misuse("a copy of 0 bytes was requested") }
        }
        do throws(DeviceError) { try memory.check(address, region.count) } catch {
            queues.withLock { $0.report.misuses.append(error.description) }
            throw error
        }
        return try queues.withLock { queues throws(DeviceError) in try queues.start(direction, address, region) }
    }

    /// Waits until the copy is complete.
    ///
    /// - Parameter copy: a copy that `startCopy` returned.
    /// - Throws: `DeviceError` if the copy failed, was never started, or was finished before.
    public func finish(_ copy: DeviceCopy) throws(DeviceError) {
        try queues.waitFor { $0.outcome(of: copy) }.get()
    }
}

extension MemoryRegion {
    /// Wraps the memory; nil if it is empty.
    fileprivate init?(_ memory: UnsafeMutableRawBufferPointer) {
        guard let start = memory.baseAddress, memory.count > 0 else { return nil }
        unsafe self.init(start: start, count: memory.count, owner: nil)
    }
}
