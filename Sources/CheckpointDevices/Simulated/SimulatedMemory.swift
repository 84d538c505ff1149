internal import CheckpointCodecs
internal import CheckpointIO
public import CheckpointState

/// The memory of a `SimulatedDevice`. Its addresses are not mapped in the host process: using one
/// as a pointer crashes the process.
///
/// A read or a write is atomic for observers. A copy by the device is not: it copies one page at a
/// time.
public final class SimulatedMemory: Sendable {
    private struct Allocation {
        let address: UInt64
        let count: Int
        let buffer: AlignedBuffer
        var end: UInt64 { address + UInt64(count) }
    }

    private struct State {
        /// Allocations in ascending order of their addresses.
        var allocations: [Allocation] = []
        /// Next free address. No x86-64 or AArch64 process has memory mapped here.
        var next: UInt64 = 0x00D0_0000_0000_0000
        var used = 0
    }

    /// Size in bytes.
    public let capacity: Int
    private let device: String
    private let state = Monitor(State())
    /// Number of bytes that the device copies atomically.
    static let pageBytes = 4096

    init(capacity: Int, device: String) {
        self.capacity = capacity
        self.device = device
    }

    /// Number of bytes allocated now.
    public var usedBytes: Int { state.withLock { $0.used } }

    func allocate(_ byteCount: Int) throws(DeviceError) -> DeviceAddress {
        try state.withLock { state throws(DeviceError) in
            guard byteCount > 0, byteCount <= capacity - state.used else {
                throw DeviceError("\(device): no room for \(byteCount) bytes: \(state.used) of \(capacity) are in use. Free device memory")
            }
            let buffer: AlignedBuffer
            do throws(OutOfMemory) { buffer = try AlignedBuffer(count: byteCount, hugePages: false) } catch {
                throw DeviceError("\(device): \(error). Allocate less")
            }
            let address = state.next
            state.allocations.append(Allocation(address: address, count: byteCount, buffer: buffer))
            state.used += byteCount
            // Allocations are never adjacent, so a range that runs over the end of one is not in
            // the next.
            state.next += UInt64(byteCount + 2 * Self.pageBytes) / 256 * 256
            return DeviceAddress(rawValue: address)
        }
    }

    func free(_ address: DeviceAddress) {
        state.withLock { state in
            guard let index = state.allocations.firstIndex(where: { $0.address == address.rawValue }) else { return }
            state.used -= state.allocations.remove(at: index).count
        }
    }

    /// Reads bytes atomically.
    ///
    /// - Parameters:
    ///   - byteCount: number of bytes.
    ///   - address: the first byte.
    /// - Returns: exactly `byteCount` bytes.
    /// - Throws: `DeviceError` if the range is not inside one allocation.
    public func read(_ byteCount: Int, at address: DeviceAddress) throws(DeviceError) -> [UInt8] {
        try access(address, byteCount) { $0.array }
    }

    /// Writes bytes atomically.
    ///
    /// - Parameters:
    ///   - bytes: the bytes.
    ///   - address: address of the first byte.
    /// - Throws: `DeviceError` if the range is not inside one allocation.
    public func write(_ bytes: [UInt8], at address: DeviceAddress) throws(DeviceError) {
        try access(address, bytes.count) { $0.store(bytes[...]) }
    }

    /// Checks that a range is allocated.
    ///
    /// - Parameters:
    ///   - address: the first byte.
    ///   - byteCount: size in bytes.
    /// - Throws: `DeviceError` if the range is not inside one allocation.
    func check(_ address: DeviceAddress, _ byteCount: Int) throws(DeviceError) { try access(address, byteCount) { _ in } }

    func copy(_ host: MemoryRegion, _ direction: CopyDirection, at address: DeviceAddress) throws(DeviceError) {
        for start in stride(from: 0, to: host.count, by: Self.pageBytes) {
            let part = host[start..<min(start + Self.pageBytes, host.count)]
            try access(address.advanced(by: start), part.count) { memory in
                switch direction {
                case .toHost: unsafe part.mutableBytes.copyMemory(from: memory.bytes)
                case .toDevice: unsafe memory.mutableBytes.copyMemory(from: part.bytes)
                }
            }
        }
    }

    private func access<R>(
        _ address: DeviceAddress, _ byteCount: Int, _ body: (MemoryRegion) -> R
    ) throws(DeviceError) -> R {
        try state.withLock { state throws(DeviceError) in
            let first = address.rawValue
            guard let found = state.allocations.last(where: { $0.address <= first }), byteCount >= 0,
                first <= found.end, UInt64(byteCount) <= found.end - first
            else {
                let text = String(first, radix: 16)
                throw DeviceError("\(device): \(byteCount) bytes at 0x\(text) are not in one allocation. Was the memory freed?")
            }
            let offset = Int(first - found.address)
            return body(found.buffer.region[offset..<offset + byteCount])
        }
    }
}
