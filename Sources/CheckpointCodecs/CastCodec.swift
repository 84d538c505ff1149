internal import CKernels
package import CheckpointFormat

/// Two-byte floats that are made of four-byte ones (Formats/codecs.md, Casts). Made by rounding to the nearest, and to even between two.
package enum CastCodec {
    /// What elements of a type can be a cast of f32 as; nil if that is no such type.
    package static func identifier(_ type: ElementType) -> CodecIdentifier? {
        switch type {
        case .bf16: .castBF16
        case .f16: .castF16
        default: nil
        }
    }

    /// Whether elements are, bit for bit, the casts of f32 elements.
    package static func isCast(
        _ elements: MemoryRegion, of source: MemoryRegion, _ codec: CodecIdentifier, kernels: CastKernels = .best
    ) -> Bool {
        precondition(codec.isCast && source.count == 2 * elements.count)
        return unsafe kernels.isCast(elements.bytes, of: source.bytes, codec)
    }

    /// Fills `raw` with the casts of f32 elements.
    package static func decode(
        _ codec: CodecIdentifier, _ source: MemoryRegion, into raw: MemoryRegion, kernels: CastKernels = .best
    ) {
        precondition(codec.isCast && source.count == 2 * raw.count && raw.count % 2 == 0)
        unsafe kernels.cast(source.bytes, into: raw.mutableBytes, codec)
    }
}

/// The casts of one instruction set; all give the same bytes.
@safe
package struct CastKernels: @unchecked Sendable {
    private let table: UnsafePointer<ck_cast_kernels>

    /// Those that the running CPU has, best first.
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
