import CheckpointDevices
import CheckpointFormat
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
import CheckpointMaintenance
import CheckpointState
@testable import CheckpointStorage
import CheckpointTestSupport
import Foundation
internal import SystemPackage
import Testing

/// State on a device, where it differs from state in the host's memory.
@Suite("State on a device", .timeLimit(.minutes(20)))
struct DeviceTests {
    private let memory = InMemoryFileSystem()

    private func restored(_ step: Int, sizes: [Int]) throws -> TestTensors {
        let copy = TestTensors(sizes: sizes)
        try openStore(memory, for: .reading).restore(.step(step), into: copy)
        return copy
    }

    @Test("a save waits for the trainer's work on the device, and returns before it is done")
    func orderedAfterTrainer() throws {
        let tensors = try Placement.device.tensors(sizes: [20_000, 20_000])
        let device = try #require(tensors.device)
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        let gate = Gate(isOpen: false)
        tensors.fill(2, tensor: 0)
        device.submit(waiting(for: gate))
        tensors.fill(2, tensor: 1)
        let ticket = try checkpointer.save(step: 2)
        #expect(throws: CheckpointError.self) { try ticket.wait(for: .captured, timeout: .milliseconds(30)) }
        gate.isOpen = true
        checkpointer.mutate { tensors.fill(3) }
        try checkpointer.close()
        #expect(try restored(2, sizes: [20_000, 20_000]).distinctValues == [2])
        #expect(device.report.misuses == [])
    }

    @Test("a device that does not order copies after the trainer's work tears checkpoints, and this test sees it")
    func unorderedIsTorn() throws {
        let device = try SimulatedDevice()
        let tensors = try TestTensors(sizes: [20_000, 20_000], on: device, lentBy: HookedDevice(device, order: { _ in }))
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        let gate = Gate(isOpen: false)
        tensors.fill(2, tensor: 0)
        device.synchronize()
        device.submit(waiting(for: gate))
        tensors.fill(2, tensor: 1)
        try checkpointer.save(step: 2).wait()
        gate.isOpen = true
        try checkpointer.close()
        #expect(try restored(2, sizes: [20_000, 20_000]).distinctValues == [0, 2])
    }

    @Test("a restore is not overtaken by what the trainer asked for before it")
    func restoreIsOrdered() throws {
        let tensors = try Placement.device.tensors(sizes: [20_000])
        let device = try #require(tensors.device)
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        tensors.fill(1)
        try checkpointer.save(step: 1).wait()
        device.submit { _ in sleepMilliseconds(30) }
        checkpointer.mutate { tensors.fill(2) }
        try checkpointer.resume()
        #expect(tensors.distinctValues == [1])
        try checkpointer.close()
    }

    @Test("tensors of the host are captured and written while the device has not begun to copy")
    func slowDevice() throws {
        let hostBytes = 40_000, deviceBytes = 40_000
        let device = try SimulatedDevice()
        let tensors = try TestTensors(sizes: [hostBytes, deviceBytes], on: device, isMixed: true)
        let written = Box(0), gate = Gate(isOpen: false)
        var options = smallOptions()
        options.onEvent = { if case .progress(_, let bytes, _) = $0 { written.value = bytes } }
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        // Copies wait for this.
        device.submit(waiting(for: gate))
        let ticket = try checkpointer.save(step: 1)
        #expect(eventually { written.value == hostBytes })
        #expect(ticket.progress == .submitted && written.value == hostBytes)
        gate.isOpen = true
        try ticket.wait()
        #expect(written.value == hostBytes + deviceBytes)
        try checkpointer.close()
    }

    @Test("strided views of device memory are saved and restored, whole rows and single elements")
    func strided() throws {
        let device = try SimulatedDevice()
        let allocation = try device.allocate(100 * 64 * 4)
        var random = SeededGenerator(1)
        let original = random.bytes(allocation.byteCount)
        device.submit { try $0.write(original, at: allocation.address) }
        let loan = LentMemory(device: device, address: allocation.address, byteCount: allocation.byteCount, owner: allocation)
        let left = try TensorView(loan, type: .f32, shape: [100, 32], strides: [64, 1], byteOffset: 0)
        let right = try TensorView(loan, type: .f32, shape: [32, 100], strides: [-1, 64], byteOffset: 63 * 4)
        let state = CompositeState(children: [TensorState("left", left), TensorState("right", right)])
        let checkpointer = try Checkpointer(store: openStore(memory), state: state, options: smallOptions())
        try checkpointer.save(step: 1).wait()
        checkpointer.mutate { device.submit { try $0.write([UInt8](repeating: 0, count: allocation.byteCount), at: allocation.address) } }
        try checkpointer.resume()
        #expect(try device.memory.read(allocation.byteCount, at: allocation.address) == original)
        try checkpointer.close()
        #expect(device.report.misuses == [] && device.report.unfinishedCopies == 0)
    }

    @Test("the many short copies of a strided view are under way together, a few at a time, and none is left when one fails")
    func stridedWindow() throws {
        let device = try SimulatedDevice()
        let allocation = try device.allocate(100 * 64)
        let loan = LentMemory(device: device, address: allocation.address, byteCount: allocation.byteCount, owner: allocation)
        let column = try TensorView(loan, type: .u8, shape: [100], strides: [64], byteOffset: 0)
        let target = try OwnedBytes(zeros: 100), gate = Gate(isOpen: false)
        device.submit(waiting(for: gate))
        try device.orderCopiesAfterTrainer()
        let thread = try WorkerThread(name: "capture") { _ = Result { try column.capture(0..<100, to: target.region) } }
        #expect(eventually { device.report.unfinishedCopies == 32 })
        #expect(device.report.copiesToHost == 32)
        gate.isOpen = true
        thread.join()
        #expect(device.report.copiesToHost == 100 && device.report.unfinishedCopies == 0)
        for fault in [SimulatedDevice.Fault.start, .copy] {
            device.inject(fault, after: 40)
            #expect(throws: DeviceError.self) { try column.capture(0..<100, to: target.region) }
            #expect(device.report.unfinishedCopies == 0 && device.report.misuses == [])
        }
    }

    @Test("a run on a device goes on from where it was, bit for bit, on another device")
    func resume() throws {
        let sizes = [40_000, 8, 5_000, 16_384]
        let first = try Placement.mixed.tensors(sizes: sizes, groups: ["a", "b"])
        let checkpointer = try Checkpointer(store: openStore(memory), state: first, options: smallOptions(workers: 2))
        for step in 1...5 {
            checkpointer.mutate { first.fillPattern(UInt64(step)) }
            if step < 5 { try checkpointer.save(step: step) }
        }
        try checkpointer.close()
        first.fillPattern(4)
        let second = try Placement.mixed.tensors(sizes: sizes, groups: ["a", "b"])
        let next = try Checkpointer(store: checkpointer.store, state: second, options: smallOptions())
        #expect(try next.resume()?.step == 4)
        #expect(second.bytes == first.bytes)
        try next.close()
    }

    @Test(
        "a state with device memory cannot be guarded, and says so; checked, it is saved as it is",
        .enabled(if: GuardSupport.holding.isTested, "\(GuardSupport.holding.reason)"))
    func guarded() throws {
        try GuardSupport.holding.check()
        for capture in [CheckpointerOptions.Capture.guarded, .checked] {
            let tensors = try Placement.mixed.tensors(sizes: [20_000, 20_000])
            tensors.fill(4)
            var options = smallOptions()
            options.capture = capture
            let store = try openStore(InMemoryFileSystem())
            let checkpointer = try Checkpointer(store: store, state: tensors, options: options)
            let ticket = try checkpointer.save(step: 1)
            checkpointer.mutate { tensors.fill(5) }
            do throws(CheckpointError) {
                try ticket.wait()
                #expect(capture == .checked)
                try store.restore(.latest, into: tensors)
                #expect(tensors.distinctValues == [4])
            } catch {
                #expect(capture == .guarded && error.code == .misuse && error.description.contains("simulated:0"))
            }
        }
    }

    @Test(
        "checked: copies are ordered on the trainer's thread alone, and a change without a permit is found",
        .enabled(if: GuardSupport.finding.isTested, "\(GuardSupport.finding.reason)"))
    func checked() throws {
        try GuardSupport.finding.check()
        let device = try SimulatedDevice()
        let threads = Box<Set<pthread_t>>([])
        let hooked = HookedDevice(
            device,
            order: { device throws(DeviceError) in
                threads.withLock { _ = $0.insert(pthread_self()) }
                try device.orderCopiesAfterTrainer()
            })
        let tensors = try TestTensors(sizes: [20_000, 20_000], on: device, lentBy: hooked)
        let warnings = Box<[String]>([])
        var options = smallOptions()
        options.capture = .checked
        options.onEvent = { if case .warning(let text) = $0 { warnings.withLock { $0.append(text) } } }
        let checkpointer = try Checkpointer(
            store: openStore(memory), state: tensors, options: options)
        for step in 1...3 {
            checkpointer.mutate { tensors.fill(UInt64(step)) }
            try checkpointer.save(step: step).wait()
        }
        #expect(warnings.value == [])
        tensors.fill(9, tensor: 1)
        checkpointer.mutate {}
        #expect(warnings.value.count == 1 && warnings.value.allSatisfy { $0.contains("\"tensor.1\"") })
        try checkpointer.close()
        #expect(threads.value == [pthread_self()] && device.report.misuses == [])
    }

    private func waiting(for gate: Gate) -> SimulatedDevice.Kernel {
        { _ in gate.wait() }
    }
}

/// A device that fails, or is left.
@Suite("Bad days of a device", .timeLimit(.minutes(20)))
struct DeviceFailureTests {
    private let memory = InMemoryFileSystem()
    private static let sizes = [8, 30_000, 64, 30_000]

    @Test(
        "whichever copy fails, the save fails with code device, training goes on, and the next save is whole",
        arguments: [(SimulatedDevice.Fault.start, Placement.device), (.copy, .device), (.start, .mixed), (.copy, .mixed)], [0, 1, 5, 15])
    func copyFails(mode: (fault: SimulatedDevice.Fault, placement: Placement), after count: Int) throws {
        let (fault, placement) = mode
        let tensors = try placement.tensors(sizes: Self.sizes, groups: ["a", "b"])
        let device = try #require(tensors.device)
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        tensors.fill(1)
        device.inject(fault, after: count)
        let failed = try checkpointer.save(step: 1)
        checkpointer.mutate { tensors.fill(2) }
        let error = #expect(throws: CheckpointError.self) { try failed.wait() }
        #expect(error?.code == .device)
        // As often as there are slots: none is lost.
        for step in 2...6 {
            let ticket = try checkpointer.save(step: step)
            #expect(ticket.earlierFailure?.code == (step == 2 ? .device : nil))
            try ticket.wait()
        }
        try checkpointer.close()
        #expect(try memory.list("/store/staging").isEmpty)
        #expect(try steps(of: checkpointer.store) == [6, 5, 4, 3, 2])
        let copy = TestTensors(sizes: Self.sizes, groups: ["a", "b"])
        try checkpointer.store.restore(.step(2), into: copy)
        #expect(copy.distinctValues == [2])
        #expect(device.report.misuses == [] && device.report.unfinishedCopies == 0 && device.report.preparedRegions == 0)
    }

    @Test("a device that cannot order its copies fails the save and no other")
    func orderFails() throws {
        let tensors = try Placement.device.tensors(sizes: Self.sizes)
        tensors.device?.inject(.order)
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        #expect(try checkpointer.save(step: 1).failure?.code == .device)
        try checkpointer.save(step: 2).wait()
        try checkpointer.close()
    }

    @Test("memory that cannot be pinned is a warning; the save is slower, and whole")
    func pinningFails() throws {
        let tensors = try Placement.device.tensors(sizes: Self.sizes)
        let device = try #require(tensors.device)
        device.inject(.prepare)
        let warnings = Box<[String]>([])
        var options = smallOptions()
        options.onEvent = { if case .warning(let text) = $0 { warnings.value.append(text) } }
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        tensors.fill(7)
        for step in 1...2 {
            try checkpointer.save(step: step).wait()
            checkpointer.mutate { tensors.fill(7 + UInt64(step)) }
        }
        try checkpointer.close()
        #expect(warnings.value.count == 1 && warnings.value[0].contains("simulated:0"))
        #expect(device.report.unpreparedCopies == device.report.copiesToHost && device.report.misuses == [])
    }

    @Test("a copy that fails while restoring is an error with code device")
    func restoreFails() throws {
        let tensors = try Placement.device.tensors(sizes: Self.sizes)
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        try checkpointer.save(step: 1).wait()
        tensors.device?.inject(.copy, after: 3)
        let error = #expect(throws: CheckpointError.self) { try checkpointer.resume() }
        #expect(error?.code == .device)
        try checkpointer.resume()
        try checkpointer.close()
    }

    @Test("the arena is pinned once for all saves, anew if it is replaced, and let go of when the checkpointer is closed or dropped")
    func arenaIsPinnedOnce() throws {
        let device = try SimulatedDevice()
        let pins = Box(0)
        let hooked = HookedDevice(device, prepare: { pins.value += 1 })
        let tensors = try TestTensors(sizes: Self.sizes, on: device, lentBy: hooked)
        for preallocates in [true, false] {
            var options = smallOptions()
            options.mechanisms.preallocates = preallocates
            let checkpointer = try Checkpointer(store: openStore(InMemoryFileSystem()), state: tensors, options: options)
            for step in 1...3 { try checkpointer.save(step: step).wait() }
            #expect(device.report.preparedRegions == 1)
            // Dropped here.
        }
        #expect(pins.value == 1 + 3)
        #expect(eventually { device.report.preparedRegions == 0 })
        #expect(device.report.misuses == [] && device.report.unpreparedCopies == 0)
    }

    @Test("a save on a device can be cancelled; the permit is given, and no copy is left behind")
    func cancel() throws {
        let device = try SimulatedDevice(bytesPerSecond: 4 << 20, latency: .milliseconds(1))
        let tensors = try TestTensors(sizes: [400_000], on: device)
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        let ticket = try checkpointer.save(step: 1)
        ticket.cancel()
        checkpointer.mutate { tensors.fill(1) }
        #expect(throws: CheckpointError.self) { try ticket.wait() }
        #expect(throws: CheckpointError.self) { try checkpointer.close() }
        #expect(device.report.unfinishedCopies == 0 && device.report.copiesToHost < 10)
    }
}

/// A device of which some calls are replaced or watched.
private final class HookedDevice: TensorDevice {
    private let base: SimulatedDevice
    private let order: @Sendable (SimulatedDevice) throws(DeviceError) -> Void
    private let prepare: @Sendable () -> Void

    init(
        _ base: SimulatedDevice,
        order: @escaping @Sendable (SimulatedDevice) throws(DeviceError) -> Void = { device throws(DeviceError) in
            try device.orderCopiesAfterTrainer()
        },
        prepare: @escaping @Sendable () -> Void = {}
    ) {
        self.base = base
        self.order = order
        self.prepare = prepare
    }

    var name: String { base.name }

    func prepareHostMemory(_ memory: UnsafeMutableRawBufferPointer) throws(DeviceError) {
        prepare()
        try unsafe base.prepareHostMemory(memory)
    }

    func releaseHostMemory(_ memory: UnsafeMutableRawBufferPointer) { unsafe base.releaseHostMemory(memory) }
    func orderCopiesAfterTrainer() throws(DeviceError) { try order(base) }

    func startCopy(from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer) throws(DeviceError) -> DeviceCopy {
        try unsafe base.startCopy(from: address, to: destination)
    }

    func startCopy(from source: UnsafeRawBufferPointer, to address: DeviceAddress) throws(DeviceError) -> DeviceCopy {
        try unsafe base.startCopy(from: source, to: address)
    }

    func finish(_ copy: DeviceCopy) throws(DeviceError) { try base.finish(copy) }
}
