import Glibc

/// Computes e^x by splitting x = n ln 2 + r with |r| <= ln 2 / 2, and a Taylor polynomial in r.
///
/// It uses no branches or library calls, so that loops over it are vectorized. It is accurate to a
/// few units in the last place, and saturates outside the range of normal floats.
@inline(__always)
func exponential(_ x: Float) -> Float {
    let clamped = max(min(x, 88), -87)
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the mantissa.
    let magic: Float = 12_582_912
    let shifted = clamped * 1.442_695_04 + magic
    let n = shifted - magic
    // ln 2 in two parts: n times the first is exact.
    let r = (clamped - n * 0.693_359_375) + n * 2.121_944_4e-4
    let high = 1 / 24 + r * (1 / 120 + r * (1 / 720 as Float))
    let polynomial = 1 + r * (1 + r * (0.5 + r * (1 / 6 + r * high)))
    return polynomial * Float(bitPattern: (shifted.bitPattern &+ 127) &<< 23)
}

extension Row {
    /// Replaces the values with their softmax.
    ///
    /// - Returns: the logarithm of the normalizer, log sum e^x.
    @discardableResult
    func softmax() -> Double {
        let peak = maximum
        for i in 0..<count { self[i] = exponential(self[i] - peak) }
        let total = sum
        scale(by: 1 / total)
        return Double(peak) + log(Double(total))
    }
}
