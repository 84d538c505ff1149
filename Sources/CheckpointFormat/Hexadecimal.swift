/// Conversion between 128-bit numbers and 32 lower-case hexadecimal digits.
package enum Hexadecimal {
    /// Returns the value of a lower-case digit; nil for any other byte.
    static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }

    /// Returns 32 lower-case hexadecimal digits.
    package static func string(of value: UInt128) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 32 - digits.count) + digits
    }

    /// Parses exactly 32 lower-case hexadecimal digits; nil for any other text.
    package static func value(of text: some StringProtocol) -> UInt128? {
        let isHexadecimal = text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        guard text.utf8.count == 32, isHexadecimal else { return nil }
        return UInt128(text, radix: 16)
    }
}
