/// A device with memory that this process cannot read: the copying protocol. Everything else about it is its implementation's affair.
///
/// The engine asks for copies from its own threads, several at a time.
public protocol Device: AnyObject, Sendable {
    /// For messages: "cuda:0".
    var name: String { get }

    /// Makes copies to and from this memory of the host as quick as they can be, by pinning it, say. Called once for the staging arena,
    /// which stays mapped until `releaseHostMemory`.
    func prepareHostMemory(_ memory: UnsafeMutableRawBufferPointer) throws(DeviceError)

    /// Undoes `prepareHostMemory`.
    func releaseHostMemory(_ memory: UnsafeMutableRawBufferPointer)

    /// Called on the trainer's thread by each `save`: copies that are started from now on must see everything that the trainer has
    /// asked of the device so far. Must return at once.
    func orderCopiesAfterTrainer() throws(DeviceError)

    /// Starts to copy `destination.count` bytes from device memory at `address`. `destination` stays mapped until `finish`.
    func startCopy(from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer) throws(DeviceError) -> DeviceCopy

    /// Starts to copy `source.count` bytes to device memory at `address`. `source` stays mapped until `finish`.
    func startCopy(from source: UnsafeRawBufferPointer, to address: DeviceAddress) throws(DeviceError) -> DeviceCopy

    /// Waits until a copy is complete. Called exactly once for each.
    func finish(_ copy: DeviceCopy) throws(DeviceError)
}

/// An address in a device's memory.
public struct DeviceAddress: Hashable, Sendable {
    /// As the device counts.
    public var rawValue: UInt64
    /// - Parameter rawValue: as the device counts.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    package func advanced(by bytes: Int) -> DeviceAddress { DeviceAddress(rawValue: rawValue &+ UInt64(bitPattern: Int64(bytes))) }
}

/// A copy under way.
public struct DeviceCopy: Hashable, Sendable {
    /// The device's own number for it.
    public var id: UInt64
    /// - Parameter id: the device's own number for it.
    public init(id: UInt64) { self.id = id }
}

/// A device that did not do what it was asked to.
public struct DeviceError: Error, CustomStringConvertible, Sendable {
    /// What failed on which device, and what to do.
    public let description: String
    /// - Parameter description: what failed on which device, and what to do.
    public init(_ description: String) { self.description = description }
}
