internal import CKernels

/// The plane kernels of one instruction set; all give the same bytes.
@safe
package struct PlaneKernels: @unchecked Sendable {
    private let table: UnsafePointer<ck_plane_kernels>

    /// Those that the running CPU has, best first.
    package static let all: [PlaneKernels] = {
        guard let sets = unsafe ck_plane_kernel_sets() else { preconditionFailure("there is always the scalar set") }
        var found: [PlaneKernels] = []
        while let table = unsafe sets[found.count] { unsafe found.append(PlaneKernels(table: table)) }
        return found
    }()

    package static let best = all[0]

    private init(table: UnsafePointer<ck_plane_kernels>) { unsafe self.table = table }

    package var name: String { unsafe String(cString: table.pointee.name) }

    /// Splits `count` elements into one plane for each byte of an element, of `count` bytes each.
    package func split(
        _ elements: UnsafeRawPointer, base: UnsafeRawPointer?, count: Int, _ transform: PlaneTransform, into planes: PlanePointers
    ) {
        unsafe precondition(base != nil || transform.residual == .none)
        unsafe planes.withPointers { unsafe table.pointee.split(elements, base, count, transform.c, $0) }
    }

    /// The inverse of `split`.
    package func merge(
        _ planes: PlanePointers, base: UnsafeRawPointer?, count: Int, _ transform: PlaneTransform, into elements: UnsafeMutableRawPointer
    ) {
        unsafe precondition(base != nil || transform.residual == .none)
        unsafe planes.withConstPointers { unsafe table.pointee.merge(elements, base, count, transform.c, $0) }
    }

    /// Codes a plane with the most frequent bytes.
    /// - Parameters:
    ///   - table: 2^bits - 1 bytes.
    ///   - words: room for `bits` words for every 64 bytes of the plane.
    /// - Returns: the number of escapes, or nil if there is no room for them.
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

    /// The inverse of `topEncode`.
    /// - Returns: the number of escapes that were used, or nil if there are too few, or bits beyond the end.
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

/// Where each plane of a sub-block lies.
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

/// How often each byte occurs in some bytes.
struct ByteStatistics {
    private(set) var entropy: Double
    /// The bytes of a table for mode `top`, most frequent first.
    private(set) var mostFrequent: InlineArray<15, UInt8>
    /// How often each of those occurs.
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

    /// Bits a byte, and nothing else.
    static func entropy(of bytes: UnsafeRawBufferPointer) -> Double {
        var counts = InlineArray<256, UInt32>(repeating: 0)
        var counting = counts.mutableSpan
        return unsafe counting.withUnsafeMutableBufferPointer { counts in
            unsafe ck_histogram(bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, counts.baseAddress)
            return unsafe ck_entropy(counts.baseAddress)
        }
    }

    /// The numbers of bits in a code of mode `top` and in one of its escapes that store the bytes smallest, and the part of their size that
    /// is left. Coding the escapes takes time, and must be worth it.
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

    /// The part of the bytes that are not among the `rank` most frequent.
    private func share(from rank: Int) -> Double {
        var covered = 0
        for index in 0..<rank { covered += Int(ranked[index]) }
        return Double(total - covered) / Double(max(total, 1))
    }
}
