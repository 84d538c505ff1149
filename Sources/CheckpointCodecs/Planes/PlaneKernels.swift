internal import CKernels

/// Plane functions for one instruction set. All sets give the same bytes.
@safe
package struct PlaneKernels: @unchecked Sendable {
    private let table: UnsafePointer<ck_plane_kernels>

    /// The sets that the running CPU supports, fastest first.
    package static let all: [PlaneKernels] = {
        guard let sets = unsafe ck_plane_kernel_sets() else { preconditionFailure("there is always the scalar set") }
        var found: [PlaneKernels] = []
        while let table = unsafe sets[found.count] { unsafe found.append(PlaneKernels(table: table)) }
        return found
    }()

    package static let best = all[0]

    private init(table: UnsafePointer<ck_plane_kernels>) { unsafe self.table = table }

    package var name: String { unsafe String(cString: table.pointee.name) }

    /// Splits elements into planes, one for each byte of an element.
    ///
    /// - Parameters:
    ///   - elements: The elements.
    ///   - base: The base's elements, `count` in number; nil if the transform has no residual.
    ///   - count: Number of elements, and of bytes of each plane.
    ///   - transform: The transform, which is applied first.
    ///   - planes: The planes to write.
    package func split(
        _ elements: UnsafeRawPointer, base: UnsafeRawPointer?, count: Int, _ transform: PlaneTransform, into planes: PlanePointers
    ) {
        unsafe precondition(base != nil || transform.residual == .none)
        unsafe planes.withPointers { unsafe table.pointee.split(elements, base, count, transform.c, $0) }
    }

    /// Merges planes into elements; the inverse of `split`.
    ///
    /// - Parameters:
    ///   - planes: The planes to read.
    ///   - base: The base's elements, `count` in number; nil if the transform has no residual.
    ///   - count: Number of elements, and of bytes of each plane.
    ///   - transform: The transform to undo.
    ///   - elements: Memory for the elements.
    package func merge(
        _ planes: PlanePointers, base: UnsafeRawPointer?, count: Int, _ transform: PlaneTransform, into elements: UnsafeMutableRawPointer
    ) {
        unsafe precondition(base != nil || transform.residual == .none)
        unsafe planes.withConstPointers { unsafe table.pointee.merge(elements, base, count, transform.c, $0) }
    }

    /// Encodes a plane with short codes for the most frequent bytes (mode `top`).
    ///
    /// - Parameters:
    ///   - plane: The bytes to encode.
    ///   - bits: Bits in a code, 1 to 4.
    ///   - symbols: The table, which has the 2^bits - 1 most frequent bytes.
    ///   - words: Memory for `bits` 64-bit words for every 64 bytes of the plane.
    ///   - escapes: Memory for the bytes that are not in the table.
    /// - Returns: Number of escapes; nil if they do not fit.
    package func topEncode(
        _ plane: UnsafeRawBufferPointer, bits: Int, table symbols: UnsafeRawPointer, words: UnsafeMutableRawPointer,
        escapes: UnsafeMutableRawBufferPointer
    ) -> Int? {
        let used = unsafe table.pointee.top_encode(
            plane.baseAddress?.assumingMemoryBound(to: UInt8.self), plane.count, UInt32(bits),
            symbols.assumingMemoryBound(to: UInt8.self), words.assumingMemoryBound(to: UInt8.self),
            escapes.baseAddress?.assumingMemoryBound(to: UInt8.self), escapes.count)
        return used == Int(bitPattern: UInt.max) || used < 0 ? nil : used
    }

    /// Decodes a plane of mode `top`; the inverse of `topEncode`.
    ///
    /// - Parameters:
    ///   - plane: Memory for the decoded bytes.
    ///   - bits: Bits in a code, 1 to 4.
    ///   - symbols: The table, which has the 2^bits - 1 most frequent bytes.
    ///   - words: The codes.
    ///   - escapes: The bytes that are not in the table.
    /// - Returns: Number of escapes used; nil if there are too few, or if bits after the end of the
    ///   plane are set.
    package func topDecode(
        _ plane: UnsafeMutableRawBufferPointer, bits: Int, table symbols: UnsafeRawPointer, words: UnsafeRawPointer,
        escapes: UnsafeRawBufferPointer
    ) -> Int? {
        let used = unsafe table.pointee.top_decode(
            plane.baseAddress?.assumingMemoryBound(to: UInt8.self), plane.count, UInt32(bits),
            symbols.assumingMemoryBound(to: UInt8.self), words.assumingMemoryBound(to: UInt8.self),
            escapes.baseAddress?.assumingMemoryBound(to: UInt8.self), escapes.count)
        return used == Int(bitPattern: UInt.max) || used < 0 ? nil : used
    }
}

extension PlaneTransform {
    fileprivate var c: ck_transform {
        ck_transform(width: UInt32(width), rotation: UInt32(rotation), residual: ck_residual(UInt32(residual.rawValue)))
    }
}
