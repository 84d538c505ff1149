/// Decimal numbers of a fixed number of digits.
enum Decimal {
    /// Returns `value` with leading zeros. A value that does not fit is a bug and traps.
    static func string(of value: Int, digits: Int) -> String {
        let text = String(value)
        precondition(value >= 0 && text.utf8.count <= digits)
        return String(repeating: "0", count: digits - text.utf8.count) + text
    }

    /// Parses exactly `digits` ASCII digits; nil for any other text.
    static func value(of text: some StringProtocol, digits: Int) -> Int? {
        guard text.utf8.count == digits, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(text)
    }
}
