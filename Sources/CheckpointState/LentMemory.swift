internal import CheckpointCodecs

/// Memory of the host program, lent to the engine: the process's own, or a device's.
///
/// The lender promises that the bytes stay mapped and do not move while the state that names them is registered (`owner`, if
/// given, is retained and should see to that), and that they change only while a `MutationPermit` for their group is
/// held. The engine reads them while it captures and writes them while it restores, never otherwise.
@safe
public struct LentMemory: @unchecked Sendable {
    @safe
    private enum Place {
        case host(UnsafeMutableRawPointer?)
        case device(any Device, DeviceAddress)
    }

    private let place: Place
    /// Size in bytes.
    public let byteCount: Int
    private let owner: AnyObject?

    /// - Parameters:
    ///   - start: the first byte; may be nil if `byteCount` is 0.
    ///   - byteCount: size in bytes.
    ///   - owner: kept alive as long as the loan.
    public init(start: UnsafeMutableRawPointer?, byteCount: Int, owner: AnyObject? = nil) {
        unsafe precondition(byteCount >= 0 && (byteCount == 0 || start != nil), "memory of \(byteCount) bytes at no address")
        unsafe place = .host(start)
        self.byteCount = byteCount
        self.owner = owner
    }

    /// - Parameters:
    ///   - device: whose memory it is.
    ///   - address: of the first byte.
    ///   - byteCount: size in bytes.
    ///   - owner: kept alive as long as the loan.
    public init(device: any Device, address: DeviceAddress, byteCount: Int, owner: AnyObject? = nil) {
        precondition(byteCount >= 0)
        unsafe place = .device(device, address)
        self.byteCount = byteCount
        self.owner = owner
    }

    /// The device whose memory it is; nil if it is the process's own.
    package var device: (any Device)? {
        if case .device(let device, _) = place { device } else { nil }
    }

    /// The lane by which it is captured.
    package var lane: CaptureLane { device == nil ? .host : .device }

    /// Address of the first byte in the process's memory; nil on a device, or if there is none.
    package var start: UnsafeMutableRawPointer? {
        if case .host(let start) = place { unsafe start } else { nil }
    }

    /// Bytes `range` of the process's own memory.
    package func bytes(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount && device == nil)
        guard let start = unsafe start else { return unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        return unsafe UnsafeMutableRawBufferPointer(start: start + range.lowerBound, count: range.count)
    }

    /// Starts to copy bytes `range` to `destination`, wherever they are.
    /// - Returns: the copy to finish; nil if it is complete.
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

    /// Starts to copy all of `source` to offset `offset`, wherever that is.
    /// - Returns: the copy to finish; nil if it is complete.
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
