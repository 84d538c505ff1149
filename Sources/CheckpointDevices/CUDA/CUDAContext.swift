package import CheckpointState

/// The primary context of one GPU, which the CUDA runtime and the frameworks on it share, held as long as the object lives.
package final class CUDAContext: Sendable {
    package let driver: CUDADriver
    package let name: String
    private let device: Int32
    private let handle: CUDADriver.Handle

    /// - Throws: if there is no such GPU, or it gives no context.
    init(_ driver: CUDADriver, ordinal: Int) throws(DeviceError) {
        self.driver = driver
        name = "cuda:\(ordinal)"
        try Self.check(driver, name, driver.initialize(0), "starting the driver")
        var device: Int32 = 0
        var handle: CUDADriver.Handle = 0
        unsafe try Self.check(driver, name, driver.device(&device, Int32(clamping: ordinal)), "finding the GPU")
        unsafe try Self.check(driver, name, driver.retainContext(&handle, device), "retaining the primary context")
        self.device = device
        self.handle = handle
    }

    // The process may be ending, and the driver with it: there is nothing to be done about a failure.
    deinit { _ = driver.releaseContext(device) }

    /// What its maker calls the GPU.
    func model() throws(DeviceError) -> String {
        var text = [CChar](repeating: 0, count: 256)
        unsafe try Self.check(driver, name, driver.deviceName(&text, Int32(text.count), device), "asking for the GPU's name")
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Runs `body` with the context current on this thread, which is left as it was.
    package func current<R>(_ body: () throws(DeviceError) -> R) throws(DeviceError) -> R {
        try check(driver.pushContext(handle), "making the context current")
        defer {
            var popped: CUDADriver.Handle = 0
            _ = unsafe driver.popContext(&popped)
        }
        return try body()
    }

    /// - Throws: unless `result` is success: the driver's name for it, what was asked for, and what to do.
    package func check(_ result: CUDADriver.Result, _ action: @autoclosure () -> String) throws(DeviceError) {
        try Self.check(driver, name, result, action())
    }

    private static func check(
        _ driver: CUDADriver, _ device: String, _ result: CUDADriver.Result, _ action: @autoclosure () -> String
    ) throws(DeviceError) {
        guard result != CUDAResult.success else { return }
        var name: UnsafePointer<CChar>?
        var text: UnsafePointer<CChar>?
        _ = unsafe (driver.errorName(result, &name), driver.errorString(result, &text))
        let known = unsafe name.map { unsafe String(cString: $0) } ?? "CUDA error \(result)"
        let meaning = unsafe text.map { unsafe " (\(String(cString: $0)))" } ?? ""
        throw DeviceError("\(device): \(action()) failed: \(known)\(meaning). \(CUDAResult.remedy(result))")
    }

    // MARK: Streams and events

    /// A stream that does not wait for the legacy default stream, nor it for this one.
    func makeStream() throws(DeviceError) -> CUDADriver.Handle {
        var stream: CUDADriver.Handle = 0
        unsafe try check(driver.createStream(&stream, 0x1 /* CU_STREAM_NON_BLOCKING */), "creating a stream")
        return stream
    }

    /// An event that is waited for asleep, and measures no time.
    func makeEvent() throws(DeviceError) -> CUDADriver.Handle {
        var event: CUDADriver.Handle = 0
        unsafe try check(driver.createEvent(&event, 0x1 | 0x2 /* CU_EVENT_BLOCKING_SYNC, DISABLE_TIMING */), "creating an event")
        return event
    }
}
