/// File names, made of ids and numbers only and parsed strictly (Formats/store-layout.md, Names).
package struct ManifestName: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var run: RunID
    package var step: Int

    package init(run: RunID, step: Int) {
        precondition(step >= 0)
        self.run = run
        self.step = step
    }

    package init?(_ text: String) {
        guard text.utf8.count == 62, text.hasSuffix(".manifest") else { return nil }
        let fields = text.dropLast(9).split(separator: "-", omittingEmptySubsequences: false)
        guard fields.count == 2, let run = RunID(fields[0]), let step = Decimal.value(of: fields[1], digits: 20) else {
            return nil
        }
        self.init(run: run, step: step)
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
