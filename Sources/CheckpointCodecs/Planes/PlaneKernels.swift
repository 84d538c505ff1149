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

/// Addresses of the planes of a sub-block.
@safe
package struct PlanePointers {
    private var pointers = unsafe InlineArray<8, UnsafeMutablePointer<UInt8>?>(repeating: nil)

    package init() {}

    package subscript(plane: Int) -> UnsafeMutableRawPointer? {
        get { unsafe UnsafeMutableRawPointer(pointers[plane]) }
        set { unsafe pointers[plane] = newValue?.assumingMemoryBound(to: UInt8.self) }
    }

    fileprivate func withPointers(_ body: (UnsafePointer<UnsafeMutablePointer<UInt8>?>) -> Void) {
        unsafe pointers.span.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            unsafe body(start)
        }
    }

    fileprivate func withConstPointers(_ body: (UnsafePointer<UnsafePointer<UInt8>?>) -> Void) {
        unsafe withPointers { start in
            unsafe start.withMemoryRebound(to: UnsafePointer<UInt8>?.self, capacity: 8) { unsafe body($0) }
        }
    }
}

extension PlaneTransform {
    fileprivate var c: ck_transform {
        ck_transform(width: UInt32(width), rotation: UInt32(rotation), residual: ck_residual(UInt32(residual.rawValue)))
    }
}

/// Frequencies of byte values.
struct ByteStatistics {
    private(set) var entropy: Double
    /// The 15 most frequent bytes, most frequent first: the table of mode `top`.
    private(set) var mostFrequent: InlineArray<15, UInt8>
    /// Frequency of each of these.
    private var ranked: InlineArray<15, UInt32>
    private let total: Int

    init(_ bytes: UnsafeRawBufferPointer) {
        (total, entropy) = (bytes.count, 0)
        (mostFrequent, ranked) = (InlineArray(repeating: 0), InlineArray(repeating: 0))
        var counts = InlineArray<256, UInt32>(repeating: 0)
        var counting = counts.mutableSpan
        unsafe counting.withUnsafeMutableBufferPointer { counts in
            unsafe ck_histogram(bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, counts.baseAddress)
            entropy = unsafe ck_entropy(counts.baseAddress)
            var symbols = mostFrequent.mutableSpan
            var frequencies = ranked.mutableSpan
            unsafe symbols.withUnsafeMutableBufferPointer { symbols in
                unsafe frequencies.withUnsafeMutableBufferPointer { frequencies in
                    unsafe ck_most_frequent(counts.baseAddress, symbols.baseAddress, frequencies.baseAddress)
                }
            }
        }
    }

    /// Returns the Shannon entropy in bits per byte, without the other statistics.
    static func entropy(of bytes: UnsafeRawBufferPointer) -> Double {
        var counts = InlineArray<256, UInt32>(repeating: 0)
        var counting = counts.mutableSpan
        return unsafe counting.withUnsafeMutableBufferPointer { counts in
            unsafe ck_histogram(bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, counts.baseAddress)
            return unsafe ck_entropy(counts.baseAddress)
        }
    }

    /// The parameters of mode `top` that give the smallest size: bits in a code, bits in a code of
    /// the escapes (0: not encoded), and the size relative to raw. Encoding the escapes takes time,
    /// so it is chosen only if it saves at least 1 %.
    var top: (bits: Int, inner: Int, cost: Double) {
        var best = (bits: 1, inner: 0, cost: 2.0)
        for bits in 1...4 {
            let escapes = share(from: 1 << bits - 1)
            let cost = Double(bits) / 8 + escapes
            if cost < best.cost { best = (bits, 0, cost) }
        }
        for bits in 1...3 {
            for inner in 1...3 {
                let (outer, rest) = (1 << bits - 1, 1 << inner - 1)
                let cost = Double(bits) / 8 + share(from: outer) * Double(inner) / 8 + share(from: outer + rest)
                if cost < best.cost - (best.inner == 0 ? 0.01 : 0) { best = (bits, inner, cost) }
            }
        }
        return best
    }

    /// Returns the fraction of bytes that are not among the `rank` most frequent.
    private func share(from rank: Int) -> Double {
        var covered = 0
        for index in 0..<rank { covered += Int(ranked[index]) }
        return Double(total - covered) / Double(max(total, 1))
    }
}
