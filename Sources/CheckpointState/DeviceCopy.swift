/// A copy in flight.
public struct DeviceCopy: Hashable, Sendable {
    /// The device's number for the copy.
    public var id: UInt64
    /// Creates a copy handle.
    ///
    /// - Parameter id: the device's number for the copy.
    public init(id: UInt64) { self.id = id }
}
