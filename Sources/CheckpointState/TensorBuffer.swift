package import CheckpointCodecs
package import CheckpointFormat

/// A complete row-major tensor of any element type, in memory that it owns. Tools read tensors into
/// it.
package struct TensorBuffer: Sendable {
    package let type: ElementType
    package let shape: [Int]
    /// The tensor's bytes: product(shape) times the element width.
    package let region: MemoryRegion
    /// The same memory as the destination of a restore.
    package let view: TensorView

    /// Allocates a tensor of zeros.
    ///
    /// - Parameters:
    ///   - type: type of the elements.
    ///   - shape: extents, slowest dimension first.
    /// - Throws: `StateError` if the shape is negative or overflows; `OutOfMemory` if the system
    ///   refuses the memory.
    package init(_ type: ElementType, _ shape: [Int]) throws {
        guard let byteCount = TensorShape.byteCount(shape, type) else { throw StateError("\(shape) is not a valid shape") }
        let whole = try AlignedBuffer(count: max(byteCount, 1), hugePages: byteCount >= 2 << 20)
        region = whole.region.prefix(byteCount)
        self.type = type
        self.shape = shape
        let memory = unsafe LentMemory(start: region.mutableBytes.baseAddress, byteCount: byteCount, owner: whole)
        view = try TensorView(memory, type: type, shape: shape)
    }

    /// Allocates a tensor and copies `bytes` into it.
    ///
    /// - Parameters:
    ///   - type: type of the elements.
    ///   - shape: extents, slowest dimension first.
    ///   - bytes: row-major bytes, exactly as many as the shape needs.
    /// - Throws: `StateError` if the shape and the number of bytes do not match; otherwise as the
    ///   initializer for zeros.
    package init(_ type: ElementType, _ shape: [Int], bytes: [UInt8]) throws {
        try self.init(type, shape)
        guard bytes.count == region.count else { throw StateError("\(type) \(shape) does not have \(bytes.count) bytes") }
        region.store(bytes[...])
    }
}
