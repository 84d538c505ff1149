/// File names, made of ids and numbers only and parsed strictly (Formats/store-layout.md, Names).
package struct ManifestName: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var run: RunID
    package var step: Int

    package init(run: RunID, step: Int) {
        precondition(step >= 0)
        self.run = run
        self.step = step
    }

    private static let suffix = Array(".manifest".utf8)

    /// In one pass over the bytes: a store may have a hundred thousand of them, and each listing parses all.
    package init?(_ text: String) {
        let bytes = text.utf8.span
        guard bytes.count == 62, bytes[32] == UInt8(ascii: "-") else { return nil }
        var run: UInt128 = 0
        for index in 0..<32 {
            guard let digit = Hexadecimal.digit(bytes[index]) else { return nil }
            run = run << 4 | UInt128(digit)
        }
        var step = 0
        for index in 33..<53 {
            guard (0x30...0x39).contains(bytes[index]) else { return nil }
            let (product, isTooLarge) = step.multipliedReportingOverflow(by: 10)
            let (sum, overflows) = product.addingReportingOverflow(Int(bytes[index] - 0x30))
            if isTooLarge || overflows { return nil }
            step = sum
        }
        for index in 53..<62 where bytes[index] != Self.suffix[index - 53] { return nil }
        self.init(run: RunID(rawValue: run), step: step)
    }

    package var description: String { "\(run)-\(Decimal.string(of: step, digits: 20)).manifest" }

    /// The order of the names as bytes, which is the order in which the checkpoints came to be.
    package static func < (a: ManifestName, b: ManifestName) -> Bool {
        (a.run, a.step) < (b.run, b.step)
    }
}

package struct SegmentName: Hashable, Sendable, CustomStringConvertible {
    package var attempt: CheckpointID
    package var rank: Int
    package var number: Int

    package init(attempt: CheckpointID, rank: Int, number: Int) {
        self.attempt = attempt
        self.rank = rank
        self.number = number
    }

    package init?(_ text: String) {
        guard text.utf8.count == 52, text.hasSuffix(".segment") else { return nil }
        let fields = text.dropLast(8).split(separator: "-", omittingEmptySubsequences: false)
        guard fields.count == 3, let attempt = CheckpointID(fields[0]),
            let rank = Decimal.value(of: fields[1], digits: 5), let number = Decimal.value(of: fields[2], digits: 5)
        else { return nil }
        self.init(attempt: attempt, rank: rank, number: number)
    }

    package var description: String {
        "\(attempt)-\(Decimal.string(of: rank, digits: 5))-\(Decimal.string(of: number, digits: 5)).segment"
    }
}

/// Decimal numbers of fixed width.
enum Decimal {
    static func string(of value: Int, digits: Int) -> String {
        let text = String(value)
        precondition(value >= 0 && text.utf8.count <= digits)
        return String(repeating: "0", count: digits - text.utf8.count) + text
    }

    static func value(of text: some StringProtocol, digits: Int) -> Int? {
        guard text.utf8.count == digits, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(text)
    }
}
