import CFakeCUDA
@testable import CheckpointDevices
import CheckpointState
import CheckpointTestSupport
import Checkpointing
internal import Logging
import SystemPackage
import Testing

/// The driver in software, or the machine's own.
enum DriverKind: CaseIterable, CustomStringConvertible {
    case fake, system

    static var available: [DriverKind] { CUDADevice.isAvailable ? [.fake, .system] : [.fake] }

    func driver() throws(DeviceError) -> CUDADriver {
        switch self {
        case .fake: unsafe try CUDADriver { name in unsafe fake_cuda_symbol(name) }
        case .system: try CUDADriver.system.get()
        }
    }

    var description: String { self == .fake ? "fake" : "system" }
}

/// What the machine's own loader and driver say.
@Suite("CUDA driver", .timeLimit(.minutes(20)))
struct CUDADriverTests {
    @Test("a library that is not there is named, with what to do")
    func missingLibrary() {
        let text = refusal { () throws(DeviceError) in _ = try CUDADriver.load("libno-such-driver.so.1") }
        #expect(text?.contains("libno-such-driver.so.1") == true)
        #expect(text?.contains("Install the NVIDIA driver") == true)
    }

    @Test("a library that is no CUDA driver is refused by the entry point that it lacks")
    func foreignLibrary() {
        let text = refusal { () throws(DeviceError) in _ = try CUDADriver.load("libc.so.6") }
        #expect(text?.contains("cuInit") == true)
    }

    @Test("each entry point is asked for, and named if it is missing", arguments: ["cuMemcpyDtoHAsync_v2", "cuMemHostRegister_v2"])
    func missingEntryPoint(name: String) {
        let text = refusal { () throws(DeviceError) in
            _ = unsafe try CUDADriver { symbol in unsafe symbol == name ? nil : fake_cuda_symbol(symbol) }
        }
        #expect(text?.contains(name) == true)
    }

    @Test("a machine without a GPU says so")
    func availability() {
        let text = refusal { () throws(DeviceError) in _ = try CUDADevice() }
        #expect((text == nil) == CUDADevice.isAvailable, "\(text ?? "")")
    }
}

/// The calls that a CUDA device makes, on a driver that checks them, and where there is a GPU on its own.
@Suite("CUDA device", .timeLimit(.minutes(20)), .serialized)
struct CUDADeviceTests {
    private func fake() throws(DeviceError) -> CUDADevice { try CUDADevice(DriverKind.fake.driver()) }

    private func calls() -> [Substring] { unsafe String(cString: fake_cuda_log()).split(separator: " ") }

    @Test("copies both ways carry the bytes; afterwards nothing is left", arguments: DriverKind.available)
    func copies(kind: DriverKind) throws {
        do {
            let device = try CUDADevice(kind.driver())
            #expect(device.name == "cuda:0" && !device.model.isEmpty)
            let allocation = try device.allocate(100_000)
            var random = SeededGenerator(5)
            let source = try OwnedBytes(random.bytes(70_001)), target = try OwnedBytes(zeros: 70_001)
            unsafe try device.prepareHostMemory(target.region.mutableBytes)
            let upload = unsafe try device.startCopy(from: source.region.bytes, to: allocation.address.advanced(by: 99))
            try device.finish(upload)
            let download = unsafe try device.startCopy(from: allocation.address.advanced(by: 99), to: target.region.mutableBytes)
            try device.finish(download)
            #expect(target.bytes == source.bytes)
            unsafe device.releaseHostMemory(target.region.mutableBytes)
        }
        if kind == .fake { expectNothingLeft() }
    }

    private func expectNothingLeft() {
        let state = fake_cuda_state()
        #expect(state.contexts == 0 && state.streams == 0 && state.events == 0)
        #expect(state.allocations == 0 && state.registrations == 0)
        #expect(fake_cuda_depth() == 0)
    }

    @Test("each call is made with the context current, and the thread is left as it was")
    func callSequence() throws {
        do {
            let device = try fake()
            let allocation = try device.allocate(8), host = try OwnedBytes(zeros: 8)
            _ = calls()
            try device.orderCopiesAfterTrainer()
            #expect(calls() == ["cuCtxPushCurrent_v2", "cuEventCreate", "cuEventRecord", "cuStreamWaitEvent", "cuCtxPopCurrent_v2"])
            let copy = unsafe try device.startCopy(from: allocation.address, to: host.region.mutableBytes)
            #expect(calls() == ["cuCtxPushCurrent_v2", "cuMemcpyDtoHAsync_v2", "cuEventRecord", "cuCtxPopCurrent_v2"])
            try device.finish(copy)
            #expect(calls() == ["cuCtxPushCurrent_v2", "cuEventSynchronize", "cuCtxPopCurrent_v2"])
            unsafe try device.prepareHostMemory(host.region.mutableBytes)
            unsafe device.releaseHostMemory(host.region.mutableBytes)
            let pin = ["cuCtxPushCurrent_v2", "cuMemHostRegister_v2", "cuCtxPopCurrent_v2"]
            #expect(calls() == (pin + ["cuCtxPushCurrent_v2", "cuMemHostUnregister", "cuCtxPopCurrent_v2"])[...].map { $0[...] })
            #expect(fake_cuda_depth() == 0)
        }
        expectNothingLeft()
    }

    @Test("events are used again: no more are made than copies are under way at once")
    func eventsAreReused() throws {
        let device = try fake()
        let allocation = try device.allocate(64), host = try OwnedBytes(zeros: 64)
        let before = fake_cuda_state().events_created
        for _ in 0..<50 {
            try device.orderCopiesAfterTrainer()
            let copies = try (0..<3).map { _ in unsafe try device.startCopy(from: allocation.address, to: host.region.mutableBytes) }
            for copy in copies { try device.finish(copy) }
        }
        #expect(fake_cuda_state().events_created - before == 3)
        #expect(isRefused { () throws(DeviceError) in try device.finish(DeviceCopy(id: 0)) }, "finished already")
        #expect(isRefused { () throws(DeviceError) in try device.finish(DeviceCopy(id: .max)) }, "never started")
    }

    @Test("copies wait for the trainer's stream as it was when they were ordered, and for nothing later", arguments: [1, 2] as [UInt])
    func order(stream: UInt) throws {
        let device = try CUDADevice(DriverKind.fake.driver(), trainerStream: CUDAStream(handle: stream))
        let allocation = try device.allocate(8)
        let ones = try OwnedBytes([1, 1, 1, 1, 1, 1, 1, 1]), twos = try OwnedBytes([2, 2, 2, 2, 2, 2, 2, 2])
        let early = try OwnedBytes(zeros: 8), late = try OwnedBytes(zeros: 8)
        fake_cuda_block(stream)
        try write(ones, to: allocation, device, stream)
        try unsafe device.finish(device.startCopy(from: allocation.address, to: early.region.mutableBytes))
        #expect(early.bytes == [UInt8](repeating: 0, count: 8), "an unordered copy waits for nothing")
        try device.orderCopiesAfterTrainer()
        let copy = unsafe try device.startCopy(from: allocation.address, to: late.region.mutableBytes)
        fake_cuda_block(stream)
        try write(twos, to: allocation, device, stream)
        fake_cuda_unblock()
        try device.finish(copy)
        #expect(late.bytes == ones.bytes)
        fake_cuda_unblock()
        try synchronize(device, stream)
    }

    /// Puts a copy into the trainer's stream, as a kernel that changes the state.
    private func write(_ bytes: OwnedBytes, to allocation: CUDAAllocation, _ device: CUDADevice, _ stream: UInt) throws {
        try device.context.current { () throws(DeviceError) in
            let driver = device.context.driver
            let result = unsafe driver.copyToDevice(allocation.address.rawValue, bytes.region.bytes.baseAddress, bytes.count, stream)
            try device.context.check(result, "writing")
        }
    }

    private func synchronize(_ device: CUDADevice, _ stream: UInt) throws {
        try device.context.current { () throws(DeviceError) in
            try device.context.check(device.context.driver.synchronizeStream(stream), "synchronizing")
        }
    }

    @Test("an error has the driver's name for it, the device, what was asked for, and what to do")
    func errors() throws {
        let device = try fake()
        let allocation = try device.allocate(8), host = try OwnedBytes(zeros: 64)
        let outside = refusal { () throws(DeviceError) in
            _ = unsafe try device.startCopy(from: allocation.address, to: host.region.mutableBytes)
        }
        #expect(outside?.hasPrefix("cuda:0: copying 64 bytes from address 0x") == true)
        #expect(outside?.contains("failed: CUDA_ERROR_INVALID_VALUE. Check that the lent memory is in one allocation") == true)
        let tooMuch = refusal { () throws(DeviceError) in _ = try device.allocate(1 << 30) }
        #expect(tooMuch?.contains("CUDA_ERROR_OUT_OF_MEMORY (out of memory)") == true)
        let noSuch = refusal { () throws(DeviceError) in _ = try CUDADevice(DriverKind.fake.driver(), ordinal: 3) }
        #expect(noSuch?.contains("cuda:3: finding the GPU failed: CUDA_ERROR_INVALID_DEVICE. Check nvidia-smi") == true)
        let empty = refusal { () throws(DeviceError) in _ = try device.allocate(0) }
        #expect(empty?.contains("allocating 0 bytes") == true)
    }

    @Test(
        "whichever call fails, the error is told, the thread's context is as before, and nothing is left",
        arguments: [
            "cuInit", "cuDeviceGet", "cuDeviceGetName", "cuDevicePrimaryCtxRetain", "cuStreamCreate", "cuMemAlloc_v2",
            "cuMemHostRegister_v2", "cuEventCreate", "cuEventRecord", "cuStreamWaitEvent", "cuMemcpyDtoHAsync_v2", "cuEventSynchronize",
            "cuCtxPushCurrent_v2",
        ])
    func anyCallFails(call: String) throws {
        let host = try OwnedBytes(zeros: 8)
        unsafe fake_cuda_fail(call, 0, 700)
        let text = refusal { () throws(DeviceError) in try use(host) }
        #expect(text?.contains("CUDA_ERROR_ILLEGAL_ADDRESS. An earlier error of the program has destroyed the context") == true)
        expectNothingLeft()
        #expect(refusal { () throws(DeviceError) in try use(host) } == nil)
    }

    private func use(_ host: OwnedBytes) throws(DeviceError) {
        let device = try fake()
        let allocation = try device.allocate(8)
        unsafe try device.prepareHostMemory(host.region.mutableBytes)
        defer { unsafe device.releaseHostMemory(host.region.mutableBytes) }
        try device.orderCopiesAfterTrainer()
        let copy = unsafe try device.startCopy(from: allocation.address, to: host.region.mutableBytes)
        try device.finish(copy)
    }

    @Test("an event that cannot be recorded behind a copy is an error only when the copy is over")
    func recordFailsBehindCopy() throws {
        let device = try fake()
        let allocation = try device.allocate(8), host = try OwnedBytes(zeros: 8)
        _ = calls()
        unsafe fake_cuda_fail("cuEventRecord", 0, 700)
        let text = refusal { () throws(DeviceError) in
            _ = unsafe try device.startCopy(from: allocation.address, to: host.region.mutableBytes)
        }
        #expect(text?.contains("recording an event after a copy failed: CUDA_ERROR_ILLEGAL_ADDRESS") == true)
        #expect(calls().contains("cuStreamSynchronize"))
    }

    @Test("memory that another device has pinned is used as it is, and left to the other to unpin")
    func pinnedTwice() throws {
        do {
            let first = try fake(), second = try fake(), host = try OwnedBytes(zeros: 4096)
            unsafe try first.prepareHostMemory(host.region.mutableBytes)
            unsafe try second.prepareHostMemory(host.region.mutableBytes)
            unsafe second.releaseHostMemory(host.region.mutableBytes)
            #expect(fake_cuda_state().registrations == 1)
            unsafe first.releaseHostMemory(host.region.mutableBytes)
        }
        expectNothingLeft()
    }

    @Test("a training run on the GPU: every checkpoint holds its own step, and the newest is resumed from", arguments: DriverKind.available)
    func trainingRun(kind: DriverKind) throws {
        let pageableBefore = fake_cuda_state().pageable_copies
        do {
            let device = try CUDADevice(kind.driver())
            let weights = try device.allocate(300_000)
            let loan = LentMemory(device: device, address: weights.address, byteCount: weights.byteCount, owner: weights)
            let state = TensorState("weights", try TensorView(loan, type: .u8, shape: [weights.byteCount]))
            var options = CheckpointerOptions()
            options.chunkBytes = 4096
            options.arenaBytes = 8 * 4096
            options.logger.logLevel = .critical
            let store = try CheckpointStore(fileSystem: InMemoryFileSystem(), root: "/store", access: .writing, catalog: .nowhere)
            let checkpointer = try Checkpointer(store: store, state: state, options: options)
            let values = try (0...9).map { try OwnedBytes([UInt8](repeating: UInt8($0), count: weights.byteCount)) }
            for step in 1...9 {
                try checkpointer.mutate { try write(values[step], to: weights, device, 1) }
                try checkpointer.save(step: step)
            }
            if kind == .fake { #expect(fake_cuda_state().pageable_copies - pageableBefore <= 9, "the arena is pinned") }
            for step in 1...9 { try expect(step, in: checkpointer, restored: values[step], device, weights) }
            try synchronize(device, 1)
            try checkpointer.close()
        }
        if kind == .fake { expectNothingLeft() }
    }

    private func expect(
        _ step: Int, in checkpointer: Checkpointer, restored value: OwnedBytes, _ device: CUDADevice, _ weights: CUDAAllocation
    ) throws {
        try checkpointer.restore(.step(step))
        let found = try OwnedBytes(zeros: weights.byteCount)
        let copy = unsafe try device.startCopy(from: weights.address, to: found.region.mutableBytes)
        try device.finish(copy)
        #expect(Set(found.bytes) == Set(value.bytes), "step \(step)")
    }
}

/// What a device's error says; nil if there is none.
func refusal(_ body: () throws(DeviceError) -> Void) -> String? {
    do throws(DeviceError) {
        try body()
        return nil
    } catch {
        return error.description
    }
}
