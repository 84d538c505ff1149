package import CheckpointCodecs
package import CheckpointState

/// Memory that a test owns, filled with bytes.
package final class OwnedBytes: Sendable {
    private let buffer: AlignedBuffer
    package let count: Int

    package init(_ bytes: [UInt8]) throws {
        buffer = try AlignedBuffer(count: max(bytes.count, 1), hugePages: false)
        count = bytes.count
        region.store(bytes[...])
    }

    package convenience init(zeros count: Int) throws { try self.init([UInt8](repeating: 0, count: count)) }

    package var region: MemoryRegion { buffer.region.prefix(count) }
    package var bytes: [UInt8] { region.array }
    package var lent: LentMemory {
        unsafe LentMemory(start: region.mutableBytes.baseAddress, byteCount: count, owner: self)
    }
}
