/// The copying protocol of a device whose memory this process cannot read. Everything else about
/// the device is left to its implementation.
///
/// The engine calls it from its own threads, several at a time.
public protocol TensorDevice: AnyObject, Sendable {
    /// Name for messages, such as "cuda:0".
    var name: String { get }

    /// Makes copies to and from host memory as fast as possible, for example by pinning it. The
    /// engine calls it once for the staging arena, which stays mapped until `releaseHostMemory`.
    /// The engine also copies to and from other memory, possibly more slowly.
    ///
    /// - Parameter memory: the memory to prepare.
    /// - Throws: `DeviceError`. The engine reports it as a warning; it fails no save.
    func prepareHostMemory(_ memory: UnsafeMutableRawBufferPointer) throws(DeviceError)

    /// Undoes a `prepareHostMemory` that did not throw. No copy is in flight.
    ///
    /// - Parameter memory: the memory that was passed to `prepareHostMemory`.
    func releaseHostMemory(_ memory: UnsafeMutableRawBufferPointer)

    /// Orders the copies that start after this call behind all work that the trainer has submitted
    /// to the device so far. Called on the thread that calls `save`, restores, reads a checkpoint
    /// into the device, or in mode `checked` begins or ends a permit. It must return immediately.
    ///
    /// - Throws: `DeviceError` if the device cannot order them.
    func orderCopiesAfterTrainer() throws(DeviceError)

    /// Starts a copy of `destination.count` bytes from the device to the host.
    ///
    /// - Parameters:
    ///   - address: the first byte in device memory.
    ///   - destination: host memory, mapped until `finish` returns or throws.
    /// - Returns: the copy in flight, to be passed to `finish` exactly once.
    /// - Throws: `DeviceError` if the copy could not be started.
    func startCopy(from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer) throws(DeviceError) -> DeviceCopy

    /// Starts a copy of `source.count` bytes from the host to the device.
    ///
    /// - Parameters:
    ///   - source: host memory, mapped until `finish` returns or throws.
    ///   - address: the first byte in device memory.
    /// - Returns: the copy in flight, to be passed to `finish` exactly once.
    /// - Throws: `DeviceError` if the copy could not be started.
    func startCopy(from source: UnsafeRawBufferPointer, to address: DeviceAddress) throws(DeviceError) -> DeviceCopy

    /// Waits until a copy is complete. The engine calls it exactly once for each copy, on any
    /// thread. When it has returned or thrown, the device no longer touches the host memory.
    ///
    /// - Parameter copy: a copy that `startCopy` returned.
    /// - Throws: `DeviceError` if the copy failed.
    func finish(_ copy: DeviceCopy) throws(DeviceError)
}

/// The earlier name of `TensorDevice`.
@available(*, deprecated, renamed: "TensorDevice")
public typealias Device = TensorDevice
