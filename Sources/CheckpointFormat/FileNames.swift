/// File name of a manifest: `RUN-STEP.manifest`, with 32 hexadecimal and 20 decimal digits
/// (Formats/store-layout.md, Names). File names consist of ids and numbers only, and are parsed
/// strictly.
package struct ManifestName: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var run: RunID
    package var step: Int

    /// Creates the name of the manifest of one step of a run.
    ///
    /// - Parameters:
    ///   - run: The run.
    ///   - step: The step, at least 0.
    package init(run: RunID, step: Int) {
        precondition(step >= 0)
        self.run = run
        self.step = step
    }

    private static let suffix = Array(".manifest".utf8)

    /// Parses a file name; nil if `text` is not a manifest's name.
    ///
    /// One pass over the bytes, because a store may have 100,000 manifests and every listing parses
    /// all of their names.
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

    /// Orders names as their bytes do: by run, then by step. This is the order in which the
    /// checkpoints were made.
    package static func < (a: ManifestName, b: ManifestName) -> Bool {
        (a.run, a.step) < (b.run, b.step)
    }
}

/// File name of a segment: `ATTEMPT-RANK-NUMBER.segment`, with 32 hexadecimal, 5 and 5 decimal
/// digits (Formats/store-layout.md, Names).
package struct SegmentName: Hashable, Sendable, CustomStringConvertible {
    package var attempt: CheckpointID
    package var rank: Int
    package var number: Int

    /// Creates the name of a segment.
    ///
    /// - Parameters:
    ///   - attempt: The attempt that wrote the segment.
    ///   - rank: The rank that wrote it.
    ///   - number: Number of the segment within the attempt and rank, from 0.
    package init(attempt: CheckpointID, rank: Int, number: Int) {
        self.attempt = attempt
        self.rank = rank
        self.number = number
    }

    /// Parses a file name; nil if `text` is not a segment's name.
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
