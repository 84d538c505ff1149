internal import CheckpointCodecs
import CheckpointDevices
import CheckpointState
import CheckpointTestSupport
import Testing

/// What a user of the simulated device relies on.
@Suite("Simulated device", .timeLimit(.minutes(20)))
struct SimulatedDeviceTests {
    private func start(_ device: SimulatedDevice, _ address: DeviceAddress, _ host: OwnedBytes) throws(DeviceError) -> DeviceCopy {
        try unsafe device.startCopy(from: address, to: host.region.mutableBytes)
    }

    @Test("copies both ways carry the bytes, from any offset")
    func copies() throws {
        let device = try SimulatedDevice()
        let allocation = try device.allocate(20_000)
        var random = SeededGenerator(3)
        let source = try OwnedBytes(random.bytes(10_001))
        let upload = unsafe try device.startCopy(from: source.region.bytes, to: allocation.address.advanced(by: 77))
        try device.finish(upload)
        let target = try OwnedBytes(zeros: 10_001)
        try device.finish(start(device, allocation.address.advanced(by: 77), target))
        #expect(target.bytes == source.bytes)
        #expect(device.report.copiesToHost == 1 && device.report.copiesToDevice == 1 && device.report.copiedBytes == 20_002)
        #expect(device.report.unpreparedCopies == 2 && device.report.misuses == [])
    }

    @Test("kernels run in order, later; a copy waits for those before the last order, and for no others")
    func order() throws {
        let device = try SimulatedDevice()
        let allocation = try device.allocate(8)
        let gate = Gate(isOpen: false)
        device.submit { _ in gate.wait() }
        device.submit { try $0.write([1], at: allocation.address) }
        let early = try OwnedBytes(zeros: 1), late = try OwnedBytes(zeros: 1)
        try device.finish(start(device, allocation.address, early))
        #expect(early.bytes == [0])
        try device.orderCopiesAfterTrainer()
        let copy = try start(device, allocation.address, late)
        #expect(device.report.unfinishedCopies == 1)
        gate.isOpen = true
        try device.finish(copy)
        #expect(late.bytes == [1])
        device.submit { try $0.write([2], at: allocation.address) }
        device.synchronize()
        #expect(try device.memory.read(1, at: allocation.address) == [2])
    }

    @Test("a copy outside an allocation, or in one that is gone, is refused and written down")
    func ranges() throws {
        let device = try SimulatedDevice()
        let host = try OwnedBytes(zeros: 101)
        do {
            let allocation = try device.allocate(100)
            for address in [allocation.address, allocation.address.advanced(by: -1), DeviceAddress(rawValue: 4096)] {
                #expect(isRefused { () throws(DeviceError) in _ = try start(device, address, host) })
            }
            #expect(isRefused { () throws(DeviceError) in _ = try device.memory.read(2, at: allocation.address.advanced(by: 99)) })
            withExtendedLifetime(allocation) {}
        }
        #expect(device.report.misuses.count == 3 && device.report.copiesToHost == 0)
        #expect(device.memory.usedBytes == 0)
    }

    @Test("a copy is finished once, and only if it was started")
    func finishedTwice() throws {
        let device = try SimulatedDevice()
        let allocation = try device.allocate(8), host = try OwnedBytes(zeros: 8)
        let copy = try start(device, allocation.address, host)
        try device.finish(copy)
        #expect(isRefused { () throws(DeviceError) in try device.finish(copy) })
        #expect(isRefused { () throws(DeviceError) in try device.finish(DeviceCopy(id: 99)) })
        #expect(device.report.misuses.count == 2)
    }

    @Test("host memory is prepared once and released once, and copies that use none of it are counted")
    func preparation() throws {
        let device = try SimulatedDevice()
        let allocation = try device.allocate(8), pinned = try OwnedBytes(zeros: 64), other = try OwnedBytes(zeros: 8)
        unsafe try device.prepareHostMemory(pinned.region.mutableBytes)
        #expect(isRefused { () throws(DeviceError) in unsafe try device.prepareHostMemory(pinned.region.mutableBytes) })
        let inside = unsafe try device.startCopy(from: allocation.address, to: pinned.region[8..<16].mutableBytes)
        try device.finish(inside)
        #expect(device.report.unpreparedCopies == 0)
        try device.finish(start(device, allocation.address, other))
        #expect(device.report.unpreparedCopies == 1)
        unsafe device.releaseHostMemory(pinned.region.mutableBytes)
        #expect(device.report.preparedRegions == 0 && device.report.misuses.count == 1)
        unsafe device.releaseHostMemory(pinned.region.mutableBytes)
        #expect(device.report.misuses.count == 2)
    }

    @Test("each fault comes where it was asked for, once", arguments: SimulatedDevice.Fault.allCases)
    func faults(fault: SimulatedDevice.Fault) throws {
        let device = try SimulatedDevice()
        let allocation = try device.allocate(8)
        device.inject(fault, after: 2)
        let hosts = try (0..<5).map { _ in try OwnedBytes(zeros: 8) }
        let failures = hosts.map { host in
            isRefused { () throws(DeviceError) in
                unsafe try device.prepareHostMemory(host.region.mutableBytes)
                try device.orderCopiesAfterTrainer()
                try device.finish(start(device, allocation.address, host))
            }
        }
        #expect(failures == [false, false, true, false, false])
        #expect(device.report.misuses == [] && device.report.unfinishedCopies == 0)
    }

    @Test("copies take the time that speed and latency say, at least")
    func pace() throws {
        let device = try SimulatedDevice(bytesPerSecond: 1_000_000, latency: .milliseconds(5))
        let allocation = try device.allocate(20_000), host = try OwnedBytes(zeros: 20_000)
        let began = ContinuousClock.now
        try device.finish(start(device, allocation.address, host))
        #expect(ContinuousClock.now - began >= .milliseconds(25))
    }

    @Test("there is no more memory than was asked for, and what is freed can be had again")
    func capacity() throws {
        let device = try SimulatedDevice(memoryBytes: 1000)
        do {
            let first = try device.allocate(900)
            #expect(isRefused { () throws(DeviceError) in _ = try device.allocate(101) })
            withExtendedLifetime(first) {}
        }
        #expect(try device.allocate(1000).byteCount == 1000)
    }

    @Test("a device that goes away drops the work that it has not begun")
    func goesAway() throws {
        let count = Box(0)
        do {
            let device = try SimulatedDevice(latency: .seconds(60))
            let allocation = try device.allocate(8), host = try OwnedBytes(zeros: 8)
            _ = try start(device, allocation.address, host)
            device.submit { _ in count.value += 1 }
            device.synchronize()
        }
        #expect(count.value == 1)
    }

    @Test("a host that takes a device's address for its own ends at once")
    func addressesAreForeign() async {
        await #expect(processExitsWith: .failure) {
            let allocation = try SimulatedDevice().allocate(64)
            let pointer = unsafe UnsafePointer<UInt8>(bitPattern: UInt(allocation.address.rawValue))
            if unsafe pointer?.pointee == 0 { sleepMilliseconds(0) }
        }
    }
}

/// Whether `body` throws what a device throws.
func isRefused(_ body: () throws(DeviceError) -> Void) -> Bool {
    do throws(DeviceError) {
        try body()
        return false
    } catch {
        return !error.description.isEmpty
    }
}
