import Glibc

/// The generator xoshiro256**, seeded by SplitMix64. The coded form holds the complete state, so a
/// decoded generator continues exactly where the encoded one stopped.
package struct RandomGenerator: Codable, Sendable, Equatable, RandomNumberGenerator {
    private var s0, s1, s2, s3: UInt64
    /// Second value of the last pair of normal deviates, if it has not been returned yet.
    private var spare: Double?

    /// Creates a generator. Seeds that differ in any bit give unrelated sequences.
    package init(seed: UInt64) {
        var splitMix = SplitMix64(state: seed)
        s0 = splitMix.next()
        s1 = splitMix.next()
        s2 = splitMix.next()
        s3 = splitMix.next()
    }

    /// Returns 64 uniform bits.
    package mutating func next() -> UInt64 {
        let result = rotate(s1 &* 5, by: 7) &* 9
        let shifted = s1 &<< 17
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= shifted
        s3 = rotate(s3, by: 45)
        return result
    }

    /// Returns a uniform number in 0 ..< 1, a multiple of 2^-24.
    package mutating func nextUniform() -> Float {
        Float(nextBits(24)) * 0x1p-24
    }

    /// Returns a standard normal deviate (Box-Muller, which computes them in pairs).
    package mutating func nextGaussian() -> Float {
        if let value = spare {
            spare = nil
            return Float(value)
        }
        // Adding one keeps the argument of the logarithm above zero and at most one.
        let radius = (-2 * log(Double(nextBits(53) + 1) * 0x1p-53)).squareRoot()
        let angle = 2 * Double.pi * Double(nextBits(53)) * 0x1p-53
        spare = radius * sin(angle)
        return Float(radius * cos(angle))
    }

    /// Returns the top `count` bits of the next draw. The type annotation is needed: next() alone
    /// may resolve to the generic overload of the standard library, at a width that type inference
    /// selects.
    private mutating func nextBits(_ count: UInt64) -> UInt64 {
        let bits: UInt64 = next()
        return bits &>> (64 - count)
    }
}

/// SplitMix64, which spreads a seed over many bits. It also serves as a mixing function for keys.
struct SplitMix64 {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z &>> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z &>> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z &>> 31)
    }
}

private func rotate(_ value: UInt64, by bits: UInt64) -> UInt64 {
    (value &<< bits) | (value &>> (64 - bits))
}
