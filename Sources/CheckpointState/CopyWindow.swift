/// Copies from or to a device that are under way, a few at a time: the many short ones of a strided tensor do not each wait for the one
/// before.
struct CopyWindow {
    private let device: (any Device)?
    private var copies: [DeviceCopy] = []
    private static let limit = 32

    /// - Parameter device: nil for the process's own memory, which is copied at once.
    init(_ device: (any Device)?) { self.device = device }

    /// - Parameter copy: nil if it is complete already.
    mutating func add(_ copy: DeviceCopy?) throws(DeviceError) {
        guard let copy else { return }
        copies.append(copy)
        if copies.count == Self.limit { try finish() }
    }

    /// Waits for all of them, even if one fails: none may touch memory that is used for something else by then.
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
