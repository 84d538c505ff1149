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
