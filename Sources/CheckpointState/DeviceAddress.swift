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
