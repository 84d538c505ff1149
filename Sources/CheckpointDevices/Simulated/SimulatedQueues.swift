internal import CheckpointCodecs
internal import CheckpointState

/// The pending work of a simulated device: a stream of kernels, executed in order, and a queue of
/// copies, executed in order, which wait for kernels only after `orderCopies`. It is a plain value:
/// the device's threads hold the lock and do the work.
struct SimulatedQueues {
    struct Copy {
        let id: UInt64
        let direction: CopyDirection
        let address: DeviceAddress
        let host: MemoryRegion
        /// Number of kernels that must be complete before the copy.
        let after: Int
        var failure: DeviceError?
    }

    /// The next action of a thread of the device. Functions that return nil instead mean that the
    /// thread has to wait.
    enum Next<Work> {
        case run(Work)
        case stop
    }

    private enum Outcome {
        case pending, done
        case failed(DeviceError)
    }

    private let device: String
    private var kernels: [SimulatedDevice.Kernel] = []
    private var submitted = 0
    private var completed = 0
    private var copies: [Copy] = []
    private var nextID: UInt64 = 1
    private var outcomes: [UInt64: Outcome] = [:]
    /// Number of kernels that the next copies have to wait for.
    private var barrier = 0
    private var faults: [(fault: SimulatedDevice.Fault, countdown: Int)] = []
    private var prepared: [Range<UInt>] = []
    var isClosing = false
    var report = SimulatedDevice.Report()

    init(device: String) { self.device = device }

    // MARK: Kernels

    mutating func submit(_ kernel: @escaping SimulatedDevice.Kernel) {
        kernels.append(kernel)
        submitted += 1
    }

    mutating func nextKernel() -> Next<SimulatedDevice.Kernel>? {
        if isClosing { return .stop }
        return kernels.isEmpty ? nil : .run(kernels.removeFirst())
    }

    mutating func finishedKernel() { completed += 1 }

    /// Returns whether the first `count` submitted kernels are complete. With a value of
    /// `submittedCount`, these are all kernels submitted up to that point.
    func isComplete(_ count: Int) -> Bool { completed >= count }
    var submittedCount: Int { submitted }

    mutating func orderCopies() throws(DeviceError) {
        try pass(.order)
        barrier = submitted
    }

    // MARK: Copies

    mutating func start(_ direction: CopyDirection, _ address: DeviceAddress, _ host: MemoryRegion) throws(DeviceError) -> DeviceCopy {
        try pass(.start)
        var copy = Copy(id: nextID, direction: direction, address: address, host: host, after: barrier)
        do throws(DeviceError) { try pass(.copy) } catch { copy.failure = error }
        nextID += 1
        copies.append(copy)
        outcomes[copy.id] = .pending
        count(direction, host)
        return DeviceCopy(id: copy.id)
    }

    private mutating func count(_ direction: CopyDirection, _ host: MemoryRegion) {
        switch direction {
        case .toHost: report.copiesToHost += 1
        case .toDevice: report.copiesToDevice += 1
        }
        report.copiedBytes += host.count
        let range = Self.addresses(host)
        let isPrepared = prepared.contains { $0.lowerBound <= range.lowerBound && range.upperBound <= $0.upperBound }
        if !isPrepared { report.unpreparedCopies += 1 }
    }

    mutating func nextCopy() -> Next<Copy>? {
        if isClosing { return .stop }
        guard let first = copies.first, isComplete(first.after) else { return nil }
        copies.removeFirst()
        return .run(first)
    }

    mutating func finishedCopy(_ id: UInt64, _ failure: DeviceError?) { outcomes[id] = failure.map(Outcome.failed) ?? .done }

    /// Returns the outcome of a copy and forgets it, so that a second call reports a misuse.
    ///
    /// - Returns: success or the failure of the copy; nil while it is in flight.
    mutating func outcome(of copy: DeviceCopy) -> Result<Void, DeviceError>? {
        switch outcomes[copy.id] {
        case .pending: return nil
        case .done: outcomes[copy.id] = nil
        case .failed(let failure):
            outcomes[copy.id] = nil
            return .failure(failure)
        case nil:
            let what = (1..<nextID).contains(copy.id) ? "is already finished" : "was never started"
            return .failure(misuse("copy \(copy.id) \(what). Finish each copy exactly once"))
        }
        return .success(())
    }

    var unfinishedCopies: Int { outcomes.count }

    // MARK: Host memory

    mutating func prepare(_ host: MemoryRegion) throws(DeviceError) {
        try pass(.prepare)
        let range = Self.addresses(host)
        guard !prepared.contains(where: { $0.overlaps(range) }) else {
            throw misuse("host memory is already prepared. Release it first")
        }
        prepared.append(range)
        report.preparedRegions = prepared.count
    }

    mutating func release(_ host: MemoryRegion) {
        let range = Self.addresses(host)
        guard let index = prepared.firstIndex(of: range) else {
            _ = misuse("host memory was released, but never prepared")
            return
        }
        prepared.remove(at: index)
        report.preparedRegions = prepared.count
    }

    private static func addresses(_ host: MemoryRegion) -> Range<UInt> {
        let start = unsafe UInt(bitPattern: host.bytes.baseAddress)
        return start..<start + UInt(host.count)
    }

    // MARK: Faults

    mutating func inject(_ fault: SimulatedDevice.Fault, after count: Int) { faults.append((fault, count)) }

    /// Throws if a fault was injected for this call.
    private mutating func pass(_ fault: SimulatedDevice.Fault) throws(DeviceError) {
        for index in faults.indices where faults[index].fault == fault { faults[index].countdown -= 1 }
        guard let index = faults.firstIndex(where: { $0.fault == fault && $0.countdown < 0 }) else { return }
        faults.remove(at: index)
        throw DeviceError("\(device): \(fault) failed, because a test requested it")
    }

    /// Records a misuse of the device, and returns it as an error.
    mutating func misuse(_ what: String) -> DeviceError {
        report.misuses.append(what)
        return DeviceError("\(device): \(what)")
    }
}
