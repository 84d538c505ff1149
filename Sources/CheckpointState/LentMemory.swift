internal import CheckpointCodecs

/// Memory of the host program, lent to the engine: the process's own, or a device's.
///
/// The lender promises that the bytes stay mapped and do not move while the state that names them
/// is registered (`owner`, if given, is retained and should ensure that), and that they change only
/// while a `MutationPermit` for their group is held. The engine reads them while it captures,
/// writes them while it restores, and does not access them at any other time.
@safe
public struct LentMemory: @unchecked Sendable {
    @safe
    private enum Place {
        case host(UnsafeMutableRawPointer?)
        case device(any TensorDevice, DeviceAddress)
    }

    private let place: Place
    /// Size in bytes.
    public let byteCount: Int
    private let owner: AnyObject?

    /// Lends memory of the process.
    ///
    /// - Parameters:
    ///   - start: the first byte; may be nil if `byteCount` is 0.
    ///   - byteCount: size in bytes.
    ///   - owner: object to keep alive as long as the loan.
    public init(start: UnsafeMutableRawPointer?, byteCount: Int, owner: AnyObject? = nil) {
        unsafe precondition(byteCount >= 0 && (byteCount == 0 || start != nil), "memory of \(byteCount) bytes has no address")
        unsafe place = .host(start)
        self.byteCount = byteCount
        self.owner = owner
    }

    /// Lends memory of a device.
    ///
    /// - Parameters:
    ///   - device: the device that holds the memory.
    ///   - address: address of the first byte.
    ///   - byteCount: size in bytes.
    ///   - owner: object to keep alive as long as the loan.
    public init(device: any TensorDevice, address: DeviceAddress, byteCount: Int, owner: AnyObject? = nil) {
        precondition(byteCount >= 0)
        unsafe place = .device(device, address)
        self.byteCount = byteCount
        self.owner = owner
    }

    /// The device that holds the memory; nil for the process's own memory.
    package var device: (any TensorDevice)? {
        if case .device(let device, _) = place { device } else { nil }
    }

    /// Address of the first byte on the device; nil for the process's own memory.
    package var deviceAddress: DeviceAddress? {
        if case .device(_, let address) = place { address } else { nil }
    }

    /// The lane that captures the memory.
    package var lane: CaptureLane { device == nil ? .host : .device }

    /// Address of the first byte in the process's memory; nil for device memory and for empty
    /// memory without an address.
    package var start: UnsafeMutableRawPointer? {
        if case .host(let start) = place { unsafe start } else { nil }
    }

    /// Returns part of the process's own memory.
    ///
    /// - Parameter range: bytes from the start of this memory, which must not be a device's.
    /// - Returns: the bytes; an empty buffer if this memory has no address.
    package func bytes(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount && device == nil)
        guard let start = unsafe start else { return unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        return unsafe UnsafeMutableRawBufferPointer(start: start + range.lowerBound, count: range.count)
    }

    /// Starts a copy of bytes `range` to `destination`. Host memory is copied before the call
    /// returns.
    ///
    /// - Parameters:
    ///   - range: bytes from the start of this memory.
    ///   - destination: memory of the process, at least as large as `range`.
    /// - Returns: the copy to finish; nil if it is complete.
    /// - Throws: `DeviceError` if the device could not start it.
    func startCopy(_ range: Range<Int>, to destination: MemoryRegion) throws(DeviceError) -> DeviceCopy? {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount && range.count <= destination.count)
        switch place {
        case .host:
            unsafe destination.mutableBytes.copyMemory(from: UnsafeRawBufferPointer(bytes(range)))
            return nil
        case .device(let device, let address):
            return unsafe try device.startCopy(
                from: address.advanced(by: range.lowerBound), to: destination.prefix(range.count).mutableBytes)
        }
    }

    /// Starts a copy of all of `source` into this memory. Host memory is copied before the call
    /// returns.
    ///
    /// - Parameters:
    ///   - offset: offset in this memory, in bytes.
    ///   - source: memory of the process.
    /// - Returns: the copy to finish; nil if it is complete.
    /// - Throws: `DeviceError` if the device could not start it.
    func startFill(at offset: Int, from source: MemoryRegion) throws(DeviceError) -> DeviceCopy? {
        precondition(offset >= 0 && source.count <= byteCount - offset)
        switch place {
        case .host:
            unsafe bytes(offset..<offset + source.count).copyMemory(from: source.bytes)
            return nil
        case .device(let device, let address):
            return unsafe try device.startCopy(from: source.bytes, to: address.advanced(by: offset))
        }
    }
}
