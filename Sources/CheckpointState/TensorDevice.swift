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
    /// to the device so far. `save` and restore call it on the trainer's thread. It must return
    /// immediately.
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

/// An address in a device's memory.
public struct DeviceAddress: Hashable, Sendable {
    /// The address as a number, in the device's own address space.
    public var rawValue: UInt64
    /// Creates an address.
    ///
    /// - Parameter rawValue: the address as a number, in the device's own address space.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Returns the address that is `bytes` bytes further.
    ///
    /// - Parameter bytes: distance in bytes; may be negative.
    /// - Returns: the new address.
    public func advanced(by bytes: Int) -> DeviceAddress { DeviceAddress(rawValue: rawValue &+ UInt64(bitPattern: Int64(bytes))) }
}

/// A copy in flight.
public struct DeviceCopy: Hashable, Sendable {
    /// The device's number for the copy.
    public var id: UInt64
    /// Creates a copy handle.
    ///
    /// - Parameter id: the device's number for the copy.
    public init(id: UInt64) { self.id = id }
}

/// A failure of a device.
public struct DeviceError: Error, CustomStringConvertible, Sendable {
    /// The operation that failed, the device, and the remedy.
    public let description: String
    /// The error number of a failed system call, if the device is a file.
    package var errno: Int32?
    /// Creates an error.
    ///
    /// - Parameter description: the operation that failed, the device, and the remedy.
    public init(_ description: String) { self.description = description }
}

/// The earlier name of `TensorDevice`.
@available(*, deprecated, renamed: "TensorDevice")
public typealias Device = TensorDevice
