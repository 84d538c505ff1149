internal import CheckpointCodecs

/// An allocation of exactly so many bytes, that the address sanitizer watches the ends of.
@safe
final class FuzzMemory {
    private let buffer: UnsafeMutableRawBufferPointer

    init(_ bytes: [UInt8]) {
        unsafe buffer = .allocate(byteCount: bytes.count, alignment: 16)
        unsafe buffer.copyBytes(from: bytes)
    }

    deinit { unsafe buffer.deallocate() }

    var region: MemoryRegion {
        // An empty allocation still has an address.
        guard let start = unsafe buffer.baseAddress else { preconditionFailure("no memory") }
        return unsafe MemoryRegion(start: start, count: buffer.count, owner: self)
    }

    var bytes: [UInt8] { unsafe Array(buffer) }
}
