/// Copies from or to a device that are in flight, at most 32 at a time, so that the many short
/// copies of a strided tensor do not wait for each other.
struct CopyWindow {
    private let device: (any TensorDevice)?
    private var copies: [DeviceCopy] = []
    private static let limit = 32

    /// Creates an empty window.
    ///
    /// - Parameter device: the device that copies; nil for the process's own memory, where copies
    ///   are synchronous.
    init(_ device: (any TensorDevice)?) { self.device = device }

    /// Adds a copy. Waits for all copies when 32 are in flight.
    ///
    /// - Parameter copy: the copy; nil if it is complete already.
    /// - Throws: `DeviceError` if a copy failed.
    mutating func add(_ copy: DeviceCopy?) throws(DeviceError) {
        guard let copy else { return }
        copies.append(copy)
        if copies.count == Self.limit { try finish() }
    }

    /// Waits for all copies, even if one fails: when this returns, none of them may still touch
    /// memory that is about to be reused.
    ///
    /// - Throws: the first failure.
    mutating func finish() throws(DeviceError) {
        guard let device else { return }
        defer { copies.removeAll(keepingCapacity: true) }
        var failure: DeviceError?
        for copy in copies {
            do throws(DeviceError) { try device.finish(copy) } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }
}
