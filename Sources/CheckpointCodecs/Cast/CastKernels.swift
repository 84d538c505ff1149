internal import CKernels
internal import CheckpointFormat

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

    func cast(_ source: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer, _ codec: CodecIdentifier) {
        unsafe table.pointee.cast(raw.baseAddress, source.baseAddress, raw.count / 2, Self.type(codec))
    }

    func isCast(_ elements: UnsafeRawBufferPointer, of source: UnsafeRawBufferPointer, _ codec: CodecIdentifier) -> Bool {
        unsafe table.pointee.is_cast(elements.baseAddress, source.baseAddress, elements.count / 2, Self.type(codec)) != 0
    }

    private static func type(_ codec: CodecIdentifier) -> ck_cast_type { codec == .castBF16 ? ck_cast_bf16 : ck_cast_f16 }
}
