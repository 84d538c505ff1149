package import CheckpointState
internal import Glibc

/// The CUDA driver's entry points that are used here (CUDA Driver API reference, version 11.1 and
/// later), looked up at run time, so that no CUDA package is needed to build. Contexts, streams and
/// events are the driver's pointers, stored as numbers.
@safe
package struct CUDADriver: Sendable {
    package typealias Result = Int32
    package typealias Handle = UInt

    // Initialization, errors.
    package let initialize: @Sendable @convention(c) (_ flags: UInt32) -> Result
    package let errorName: @Sendable @convention(c) (Result, UnsafeMutablePointer<UnsafePointer<CChar>?>) -> Result
    package let errorString: @Sendable @convention(c) (Result, UnsafeMutablePointer<UnsafePointer<CChar>?>) -> Result
    // Devices, contexts.
    package let deviceCount: @Sendable @convention(c) (UnsafeMutablePointer<Int32>) -> Result
    package let device: @Sendable @convention(c) (UnsafeMutablePointer<Int32>, _ ordinal: Int32) -> Result
    package let deviceName: @Sendable @convention(c) (UnsafeMutablePointer<CChar>, _ length: Int32, _ device: Int32) -> Result
    package let retainContext: @Sendable @convention(c) (UnsafeMutablePointer<Handle>, _ device: Int32) -> Result
    package let releaseContext: @Sendable @convention(c) (_ device: Int32) -> Result
    package let pushContext: @Sendable @convention(c) (Handle) -> Result
    package let popContext: @Sendable @convention(c) (UnsafeMutablePointer<Handle>) -> Result
    // Streams, events.
    package let createStream: @Sendable @convention(c) (UnsafeMutablePointer<Handle>, _ flags: UInt32) -> Result
    package let destroyStream: @Sendable @convention(c) (Handle) -> Result
    package let synchronizeStream: @Sendable @convention(c) (Handle) -> Result
    package let waitEvent: @Sendable @convention(c) (_ stream: Handle, _ event: Handle, _ flags: UInt32) -> Result
    package let createEvent: @Sendable @convention(c) (UnsafeMutablePointer<Handle>, _ flags: UInt32) -> Result
    package let destroyEvent: @Sendable @convention(c) (Handle) -> Result
    package let recordEvent: @Sendable @convention(c) (_ event: Handle, _ stream: Handle) -> Result
    package let synchronizeEvent: @Sendable @convention(c) (Handle) -> Result
    // Memory.
    package let copyToHost: @Sendable @convention(c) (UnsafeMutableRawPointer?, _ source: UInt64, Int, _ stream: Handle) -> Result
    package let copyToDevice: @Sendable @convention(c) (_ target: UInt64, UnsafeRawPointer?, Int, _ stream: Handle) -> Result
    package let allocate: @Sendable @convention(c) (UnsafeMutablePointer<UInt64>, Int) -> Result
    package let free: @Sendable @convention(c) (UInt64) -> Result
    package let registerHost: @Sendable @convention(c) (UnsafeMutableRawPointer?, Int, _ flags: UInt32) -> Result
    package let unregisterHost: @Sendable @convention(c) (UnsafeMutableRawPointer?) -> Result

    package static let libraryName = "libcuda.so.1"

    /// The driver of this machine, loaded once and kept.
    package static let system: Swift.Result<CUDADriver, DeviceError> = Swift.Result { () throws(DeviceError) in
        try load(libraryName)
    }

    /// Loads a driver.
    ///
    /// - Parameter library: name or path of the shared library, for dlopen(3).
    /// - Returns: the driver.
    /// - Throws: `DeviceError` if the library does not exist or lacks an entry point.
    package static func load(_ library: String) throws(DeviceError) -> CUDADriver {
        guard let handle = unsafe dlopen(library, RTLD_NOW) else {
            let reason = unsafe dlerror().map { unsafe String(cString: $0) } ?? "unknown reason"
            throw DeviceError("no CUDA driver: \(reason). Install the NVIDIA driver, or keep the state in host memory")
        }
        return unsafe try CUDADriver { name in unsafe dlsym(handle, name) }
    }

    /// Looks up all entry points.
    ///
    /// - Parameter symbol: finds an entry point by its name; returns nil if it does not exist.
    /// - Throws: `DeviceError` that names the missing entry point.
    package init(symbol: @escaping (String) -> UnsafeMutableRawPointer?) throws(DeviceError) {
        let symbols = unsafe Symbols(find: symbol)
        initialize = try symbols["cuInit"]
        unsafe errorName = unsafe try symbols["cuGetErrorName"]
        unsafe errorString = unsafe try symbols["cuGetErrorString"]
        unsafe deviceCount = unsafe try symbols["cuDeviceGetCount"]
        unsafe device = unsafe try symbols["cuDeviceGet"]
        unsafe deviceName = unsafe try symbols["cuDeviceGetName"]
        unsafe retainContext = unsafe try symbols["cuDevicePrimaryCtxRetain"]
        releaseContext = try symbols["cuDevicePrimaryCtxRelease_v2"]
        pushContext = try symbols["cuCtxPushCurrent_v2"]
        unsafe popContext = unsafe try symbols["cuCtxPopCurrent_v2"]
        unsafe createStream = unsafe try symbols["cuStreamCreate"]
        destroyStream = try symbols["cuStreamDestroy_v2"]
        synchronizeStream = try symbols["cuStreamSynchronize"]
        waitEvent = try symbols["cuStreamWaitEvent"]
        unsafe createEvent = unsafe try symbols["cuEventCreate"]
        destroyEvent = try symbols["cuEventDestroy_v2"]
        recordEvent = try symbols["cuEventRecord"]
        synchronizeEvent = try symbols["cuEventSynchronize"]
        unsafe copyToHost = unsafe try symbols["cuMemcpyDtoHAsync_v2"]
        unsafe copyToDevice = unsafe try symbols["cuMemcpyHtoDAsync_v2"]
        unsafe allocate = unsafe try symbols["cuMemAlloc_v2"]
        free = try symbols["cuMemFree_v2"]
        unsafe registerHost = unsafe try symbols["cuMemHostRegister_v2"]
        unsafe unregisterHost = unsafe try symbols["cuMemHostUnregister"]
    }

    @safe
    private struct Symbols {
        let find: (String) -> UnsafeMutableRawPointer?

        /// The entry point as a function of the requested type, which must match the reference.
        subscript<Function>(_ name: String) -> Function {
            get throws(DeviceError) {
                guard let address = unsafe find(name) else {
                    throw DeviceError(
                        "the CUDA driver lacks \(name). "
                            + "Install a driver for CUDA 11.1 or later")
                }
                return unsafe unsafeBitCast(address, to: Function.self)
            }
        }
    }
}
