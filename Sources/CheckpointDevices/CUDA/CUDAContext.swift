package import CheckpointState

/// The primary context of one GPU, which the CUDA runtime and the frameworks on it share. It is
/// retained for the lifetime of the object.
package final class CUDAContext: Sendable {
    package let driver: CUDADriver
    package let name: String
    private let device: Int32
    private let handle: CUDADriver.Handle

    /// Retains the primary context of a GPU.
    ///
    /// - Parameters:
    ///   - driver: the CUDA driver.
    ///   - ordinal: number of the GPU in CUDA's order.
    /// - Throws: `DeviceError` if the GPU does not exist, or the driver provides no context.
    init(_ driver: CUDADriver, ordinal: Int) throws(DeviceError) {
        self.driver = driver
        name = "cuda:\(ordinal)"
        try Self.check(driver, name, driver.initialize(0), "initializing the driver")
        var device: Int32 = 0
        var handle: CUDADriver.Handle = 0
        unsafe try Self.check(driver, name, driver.device(&device, Int32(clamping: ordinal)), "finding the GPU")
        unsafe try Self.check(driver, name, driver.retainContext(&handle, device), "retaining the primary context")
        self.device = device
        self.handle = handle
    }

    // Errors are ignored: the process may be ending and the driver with it, and nothing can be
    // done.
    deinit { _ = driver.releaseContext(device) }

    /// Returns the product name of the GPU, such as "NVIDIA H200".
    ///
    /// - Throws: `DeviceError` if the driver does not answer.
    func model() throws(DeviceError) -> String {
        var text = [CChar](repeating: 0, count: 256)
        unsafe try Self.check(driver, name, driver.deviceName(&text, Int32(text.count), device), "asking for the GPU's name")
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Runs `body` with the context current on the calling thread, and restores the thread's
    /// previous context.
    ///
    /// - Parameter body: calls of the driver.
    /// - Returns: the result of `body`.
    /// - Throws: the error of `body`, or `DeviceError` if the context cannot be made current.
    package func current<R>(_ body: () throws(DeviceError) -> R) throws(DeviceError) -> R {
        try check(driver.pushContext(handle), "making the context current")
        defer {
            var popped: CUDADriver.Handle = 0
            _ = unsafe driver.popContext(&popped)
        }
        return try body()
    }

    /// Checks the result of a call of the driver.
    ///
    /// - Parameters:
    ///   - result: the call's CUresult.
    ///   - action: the purpose of the call, for the message.
    /// - Throws: `DeviceError` unless the call succeeded, with the driver's name for the result,
    ///   the action, and the remedy.
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

    /// Creates a stream that does not synchronize with the legacy default stream.
    ///
    /// - Returns: the `CUstream`, to be destroyed by the caller.
    /// - Throws: `DeviceError` if the driver refuses it.
    func makeStream() throws(DeviceError) -> CUDADriver.Handle {
        var stream: CUDADriver.Handle = 0
        unsafe try check(driver.createStream(&stream, 0x1 /* CU_STREAM_NON_BLOCKING */), "creating a stream")
        return stream
    }

    /// Creates an event that blocks the waiting thread without spinning, and measures no time.
    ///
    /// - Returns: the `CUevent`, to be destroyed by the caller.
    /// - Throws: `DeviceError` if the driver refuses it.
    func makeEvent() throws(DeviceError) -> CUDADriver.Handle {
        var event: CUDADriver.Handle = 0
        unsafe try check(driver.createEvent(&event, 0x1 | 0x2 /* CU_EVENT_BLOCKING_SYNC, DISABLE_TIMING */), "creating an event")
        return event
    }
}
