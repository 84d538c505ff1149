/// A device with memory that this process cannot read: the copying protocol. Everything else about it is its implementation's affair.
///
/// The engine asks for copies from its own threads, several at a time.
public protocol Device: AnyObject, Sendable {
    /// For messages: "cuda:0".
    var name: String { get }

    /// Makes copies to and from this memory of the host as quick as they can be, by pinning it, say. Called once for the staging arena,
    /// which stays mapped until `releaseHostMemory`. Other memory is copied to and from as well, perhaps slower; a failure is told
    /// as a warning and fails no save.
    func prepareHostMemory(_ memory: UnsafeMutableRawBufferPointer) throws(DeviceError)

    /// Undoes a `prepareHostMemory` that did not fail. No copy is under way.
    func releaseHostMemory(_ memory: UnsafeMutableRawBufferPointer)

    /// Called on the trainer's thread by each `save` and each restore: copies that are started from now on must see everything that the
    /// trainer has asked of the device so far. Must return at once.
    func orderCopiesAfterTrainer() throws(DeviceError)

    /// Starts to copy `destination.count` bytes from device memory at `address`. `destination` stays mapped until `finish`.
    func startCopy(from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer) throws(DeviceError) -> DeviceCopy

    /// Starts to copy `source.count` bytes to device memory at `address`. `source` stays mapped until `finish`.
    func startCopy(from source: UnsafeRawBufferPointer, to address: DeviceAddress) throws(DeviceError) -> DeviceCopy

    /// Waits until a copy is complete. Called exactly once for each, on any thread. When it has returned or thrown, the device no longer
    /// touches the host's memory.
    func finish(_ copy: DeviceCopy) throws(DeviceError)
}

/// An address in a device's memory.
public struct DeviceAddress: Hashable, Sendable {
    /// As the device counts.
    public var rawValue: UInt64
    /// - Parameter rawValue: as the device counts.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The address `bytes` bytes further on.
    public func advanced(by bytes: Int) -> DeviceAddress { DeviceAddress(rawValue: rawValue &+ UInt64(bitPattern: Int64(bytes))) }
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
