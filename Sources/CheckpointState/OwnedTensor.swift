package import CheckpointCodecs
package import CheckpointFormat

/// A whole tensor, row-major, in memory of its own: what tools read tensors into.
package struct OwnedTensor: Sendable {
    package let type: ElementType
    package let shape: [Int]
    /// Its bytes: product(shape) times the element width.
    package let region: MemoryRegion
    /// The same memory as a destination for a restore.
    package let view: TensorView

    /// A tensor of zeros.
    package init(_ type: ElementType, _ shape: [Int]) throws {
        guard let byteCount = TensorShape.byteCount(shape, type) else { throw StateError("\(shape) is no shape") }
        let whole = try AlignedBuffer(count: max(byteCount, 1), hugePages: byteCount >= 2 << 20)
        region = whole.region.prefix(byteCount)
        self.type = type
        self.shape = shape
        let memory = unsafe LentMemory(start: region.mutableBytes.baseAddress, byteCount: byteCount, owner: whole)
        view = try TensorView(memory, type: type, shape: shape)
    }

    /// A tensor of these bytes, which must be as many as the shape needs.
    package init(_ type: ElementType, _ shape: [Int], bytes: [UInt8]) throws {
        try self.init(type, shape)
        guard bytes.count == region.count else { throw StateError("\(shape) of \(type) is not \(bytes.count) bytes") }
        region.store(bytes[...])
    }
}
