internal import CKernels
package import CheckpointFormat

/// Casts: two-byte floats that are computed from four-byte floats (Formats/codecs.md, Casts). They
/// are rounded to the nearest value, and to even if two are equally near.
package enum CastCodec {
    /// Returns the codec for elements of a type that can be casts of f32 elements; nil for any
    /// other type.
    package static func identifier(_ type: ElementType) -> CodecIdentifier? {
        switch type {
        case .bf16: .castBF16
        case .f16: .castF16
        default: nil
        }
    }

    /// Returns true if elements are, bit for bit, the casts of f32 elements.
    ///
    /// - Parameters:
    ///   - elements: Elements of two bytes.
    ///   - source: The same number of elements of four bytes.
    ///   - codec: The kind of cast.
    ///   - kernels: The instruction set.
    package static func isCast(
        _ elements: MemoryRegion, of source: MemoryRegion, _ codec: CodecIdentifier, kernels: CastKernels = .best
    ) -> Bool {
        precondition(codec.isCast && source.count == 2 * elements.count)
        return unsafe kernels.isCast(elements.bytes, of: source.bytes, codec)
    }

    /// Computes casts.
    ///
    /// - Parameters:
    ///   - codec: The kind of cast.
    ///   - source: f32 elements.
    ///   - raw: Memory for the same number of elements of two bytes.
    ///   - kernels: The instruction set.
    package static func decode(
        _ codec: CodecIdentifier, _ source: MemoryRegion, into raw: MemoryRegion, kernels: CastKernels = .best
    ) {
        precondition(codec.isCast && source.count == 2 * raw.count && raw.count % 2 == 0)
        unsafe kernels.cast(source.bytes, into: raw.mutableBytes, codec)
    }
}
