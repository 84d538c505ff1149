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

/// Cast functions for one instruction set. All sets give the same bytes.
@safe
package struct CastKernels: @unchecked Sendable {
    private let table: UnsafePointer<ck_cast_kernels>

    /// The sets that the running CPU supports, fastest first.
    package static let all: [CastKernels] = {
        guard let sets = unsafe ck_cast_kernel_sets() else { preconditionFailure("there is always one set") }
        var found: [CastKernels] = []
        while let table = unsafe sets[found.count] { unsafe found.append(CastKernels(table: table)) }
        return found
    }()

    package static let best = all[0]

    private init(table: UnsafePointer<ck_cast_kernels>) { unsafe self.table = table }

    package var name: String { unsafe String(cString: table.pointee.name) }

    fileprivate func cast(_ source: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer, _ codec: CodecIdentifier) {
        unsafe table.pointee.cast(raw.baseAddress, source.baseAddress, raw.count / 2, Self.type(codec))
    }

    fileprivate func isCast(_ elements: UnsafeRawBufferPointer, of source: UnsafeRawBufferPointer, _ codec: CodecIdentifier) -> Bool {
        unsafe table.pointee.is_cast(elements.baseAddress, source.baseAddress, elements.count / 2, Self.type(codec)) != 0
    }

    private static func type(_ codec: CodecIdentifier) -> ck_cast_type { codec == .castBF16 ? ck_cast_bf16 : ck_cast_f16 }
}
