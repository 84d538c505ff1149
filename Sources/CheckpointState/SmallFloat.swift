internal import CheckpointFormat

/// Values of all bit patterns of the element types that have at most 8 bits.
enum SmallFloat {
    /// Meaning of the bit patterns that are not plain numbers.
    private enum Specials {
        /// None: every bit pattern is a number (OCP MX, FP6 and FP4).
        case none
        /// One NaN per sign, of all bits; no infinity.
        case finite
        /// Infinities and NaNs in the largest exponent, as in IEEE 754.
        case ieee
        /// One NaN, which is -0; no infinity.
        case unsignedZero
    }

    private static let e4m3 = table(exponent: 4, fraction: 3, bias: 7, .finite)
    private static let e5m2 = table(exponent: 5, fraction: 2, bias: 15, .ieee)
    private static let e4m3fnuz = table(exponent: 4, fraction: 3, bias: 8, .unsignedZero)
    private static let e5m2fnuz = table(exponent: 5, fraction: 2, bias: 16, .unsignedZero)
    private static let e4m3b11fnuz = table(exponent: 4, fraction: 3, bias: 11, .unsignedZero)
    private static let e4m3ieee = table(exponent: 4, fraction: 3, bias: 7, .ieee)
    private static let e3m4 = table(exponent: 3, fraction: 4, bias: 3, .ieee)
    private static let e2m3 = table(exponent: 2, fraction: 3, bias: 1, .none)
    private static let e3m2 = table(exponent: 3, fraction: 2, bias: 3, .none)
    private static let e2m1 = table(exponent: 2, fraction: 1, bias: 1, .none)
    private static let e8m0: [Double] = (0...255).map { bits in
        bits == 255 ? .nan : Double(sign: .plus, exponent: bits - 127, significand: 1)
    }
    private static let i1 = integers(bits: 1, isSigned: true)
    private static let i2 = integers(bits: 2, isSigned: true)
    private static let i4 = integers(bits: 4, isSigned: true)
    private static let u1 = integers(bits: 1, isSigned: false)
    private static let u2 = integers(bits: 2, isSigned: false)
    private static let u4 = integers(bits: 4, isSigned: false)

    /// Returns the values of all bit patterns of a type.
    ///
    /// - Parameter type: an element type.
    /// - Returns: the values; nil for integers of 8 bits, and types of more bits.
    static func values(_ type: ElementType) -> [Double]? {
        switch type {
        case .f8e4m3: e4m3
        case .f8e5m2: e5m2
        case .f8e4m3fnuz: e4m3fnuz
        case .f8e5m2fnuz: e5m2fnuz
        case .f8e4m3b11fnuz: e4m3b11fnuz
        case .f8e4m3ieee: e4m3ieee
        case .f8e3m4: e3m4
        case .f8e8m0: e8m0
        case .f6e2m3: e2m3
        case .f6e3m2: e3m2
        case .f4e2m1: e2m1
        case .i4: i4
        case .i2: i2
        case .i1: i1
        case .u4: u4
        case .u2: u2
        case .u1: u1
        default: nil
        }
    }

    private static func integers(bits: Int, isSigned: Bool) -> [Double] {
        let count = 1 << bits
        return (0..<count).map { pattern in
            isSigned && pattern >= count / 2 ? Double(pattern - count) : Double(pattern)
        }
    }

    private static func table(exponent: Int, fraction: Int, bias: Int, _ specials: Specials)
        -> [Double]
    {
        let magnitudes = 1 << (exponent + fraction)
        return (0..<2 * magnitudes).map { bits in
            let (isNegative, magnitude) = (bits >= magnitudes, bits % magnitudes)
            if specials == .unsignedZero, bits == magnitudes { return .nan }
            if specials == .finite, magnitude == magnitudes - 1 { return .nan }
            let (power, digits) = (magnitude >> fraction, magnitude & ((1 << fraction) - 1))
            if specials == .ieee, power == (1 << exponent) - 1 {
                return digits > 0 ? .nan : isNegative ? -.infinity : .infinity
            }
            let significand = Double(power == 0 ? digits : digits + (1 << fraction))
            let scale = Double(
                sign: .plus, exponent: max(power, 1) - bias - fraction, significand: 1)
            return isNegative ? -significand * scale : significand * scale
        }
    }
}
