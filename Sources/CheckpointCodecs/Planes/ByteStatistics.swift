internal import CKernels

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
