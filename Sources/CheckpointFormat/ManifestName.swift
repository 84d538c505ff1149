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
