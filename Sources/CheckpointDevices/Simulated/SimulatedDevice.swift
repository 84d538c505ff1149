internal import CheckpointCodecs
internal import CheckpointIO
public import CheckpointState

/// A device in software, to test state providers and training loops with that keep state on a device, on a machine without one.
///
///     let device = try SimulatedDevice()
///     let weights = try device.allocate(4096)
///     let memory = LentMemory(device: device, address: weights.address, byteCount: 4096, owner: weights)
///
/// It behaves like the devices it stands for. The trainer's work (`submit`) is executed later, in order, by a thread of the device's
/// own. Copies are executed in order by another, at a given speed; they wait for work submitted before the last
/// `orderCopiesAfterTrainer`, and for nothing else: where that call, or the fence before an update, is missing, copies see memory before or
/// in the middle of what should have come first. Mistakes in its use are errors and are counted in `report`.
public final class SimulatedDevice: Device {
    /// Work of the trainer's that changes device memory.
    public typealias Kernel = @Sendable (SimulatedMemory) throws -> Void

    /// Occasions on which the device can be made to fail.
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

    /// What has been done with the device so far.
    public struct Report: Sendable, Equatable {
        /// Copies started from device memory.
        public internal(set) var copiesToHost = 0
        /// Copies started to device memory.
        public internal(set) var copiesToDevice = 0
        /// Bytes of both.
        public internal(set) var copiedBytes = 0
        /// Copies from or to host memory that had not been prepared.
        public internal(set) var unpreparedCopies = 0
        /// Copies started and not finished yet.
        public internal(set) var unfinishedCopies = 0
        /// Regions of host memory that are prepared at present.
        public internal(set) var preparedRegions = 0
        /// Mistakes: copies outside allocations, copies finished twice or never started, memory prepared twice; kernels that threw.
        public internal(set) var misuses: [String] = []
    }

    /// For messages.
    public let name: String
    /// What kernels see. Read or written directly, it shows what is there now, complete or not.
    public let memory: SimulatedMemory
    private let queues: Monitor<SimulatedQueues>
    private let threads: [WorkerThread]

    /// - Parameters:
    ///   - memoryBytes: size of its memory.
    ///   - bytesPerSecond: speed of copies; nil is as fast as they go.
    ///   - latency: time that each copy takes besides.
    /// - Throws: if the system gives no threads.
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
        } catch { throw DeviceError("\(name): \(error); raise the limit of threads") }
    }

    /// Work not done yet is dropped. A kernel must not be the last to hold the device.
    deinit {
        queues.withLock { $0.isClosing = true }
        for thread in threads { thread.join() }
    }

    /// What has been done with the device so far.
    public var report: Report {
        queues.withLock { queues in
            var report = queues.report
            report.unfinishedCopies = queues.unfinishedCopies
            return report
        }
    }

    /// Memory of zeros.
    /// - Throws: if the device, or the host, has no room for it.
    public func allocate(_ byteCount: Int) throws(DeviceError) -> SimulatedAllocation {
        try SimulatedAllocation(memory, byteCount: byteCount)
    }

    // MARK: The trainer's stream

    /// Asks for work, which is executed after everything that was asked for before; returns at once.
    public func submit(_ kernel: @escaping Kernel) { queues.withLock { $0.submit(kernel) } }

    /// Waits until everything submitted so far is complete.
    public func synchronize() {
        let count = queues.withLock { $0.submittedCount }
        queues.waitFor { $0.isComplete(count) ? () : nil }
    }

    /// Makes a copy or another call fail.
    /// - Parameter count: how many of its kind succeed before.
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
                // It was there when the copy was started.
                queues.withLock { $0.finishedCopy(copy.id, $0.misuse("memory was freed under a copy")) }
            }
        }
    }

    /// Notes that copies from and to this memory are welcome; the others are counted.
    public func prepareHostMemory(_ memory: UnsafeMutableRawBufferPointer) throws(DeviceError) {
        guard let region = unsafe MemoryRegion(memory) else { return }
        try queues.withLock { queues throws(DeviceError) in try queues.prepare(region) }
    }

    /// Undoes `prepareHostMemory`.
    public func releaseHostMemory(_ memory: UnsafeMutableRawBufferPointer) {
        guard let region = unsafe MemoryRegion(memory) else { return }
        queues.withLock { $0.release(region) }
    }

    /// Copies started from now on wait for everything submitted so far.
    public func orderCopiesAfterTrainer() throws(DeviceError) {
        try queues.withLock { queues throws(DeviceError) in try queues.orderCopies() }
    }

    /// Puts a copy from the device into the queue.
    /// - Throws: if the range does not lie in one allocation.
    public func startCopy(
        from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer
    ) throws(DeviceError) -> DeviceCopy {
        try unsafe start(.toHost, address, destination)
    }

    /// Puts a copy to the device into the queue.
    /// - Throws: if the range does not lie in one allocation.
    public func startCopy(from source: UnsafeRawBufferPointer, to address: DeviceAddress) throws(DeviceError) -> DeviceCopy {
        // The engine only reads what it copies to the device.
        try unsafe start(.toDevice, address, UnsafeMutableRawBufferPointer(mutating: source))
    }

    private func start(
        _ direction: CopyDirection, _ address: DeviceAddress, _ host: UnsafeMutableRawBufferPointer
    ) throws(DeviceError) -> DeviceCopy {
        guard let region = unsafe MemoryRegion(host) else {
            throw queues.withLock { $0.misuse("a copy of nothing; leave it out") }
        }
        do throws(DeviceError) { try memory.check(address, region.count) } catch {
            queues.withLock { $0.report.misuses.append(error.description) }
            throw error
        }
        return try queues.withLock { queues throws(DeviceError) in try queues.start(direction, address, region) }
    }

    /// Waits until the copy is complete.
    /// - Throws: if it failed, was never started, or was finished before.
    public func finish(_ copy: DeviceCopy) throws(DeviceError) {
        try queues.waitFor { $0.outcome(of: copy) }.get()
    }
}

extension MemoryRegion {
    /// Nil if there is nothing.
    fileprivate init?(_ memory: UnsafeMutableRawBufferPointer) {
        guard let start = memory.baseAddress, memory.count > 0 else { return nil }
        unsafe self.init(start: start, count: memory.count, owner: nil)
    }
}
