/// Format features that a reader must support to read a file (Formats/versioning.md).
package enum RequiredFeature: UInt32, CaseIterable, Sendable {
    case parts = 0
    case delta = 1
    case cast = 2
    case alias = 3
    // Bit 4 is never assigned: a golden vector refuses it.
    case types = 5
    case pieces = 6

    package var name: String { String(describing: self) }
    package var bit: UInt32 { 1 << rawValue }

    /// The features that this software can restore. A file that needs any other feature is refused,
    /// and the error names the feature.
    package static let implemented: [RequiredFeature] = [.parts, .delta, .cast, .types, .pieces]

    /// Decodes the required-features bits of a manifest header.
    ///
    /// - Parameters:
    ///   - bits: One bit for each feature; the bit's number is the feature's raw value.
    ///   - offset: Offset of the field in the file, for the error.
    /// - Returns: The features whose bits are set.
    /// - Throws: Unsupported, with the names of the features, if this software does not implement
    ///   all of them.
    package static func features(bits: UInt32, at offset: Int) throws(FormatError) -> Set<RequiredFeature> {
        let missing = bits & ~implemented.reduce(0) { $0 | $1.bit }
        guard missing != 0 else { return Set(implemented.filter { bits & $0.bit != 0 }) }
        let names = (0..<32).filter { missing >> $0 & 1 == 1 }.map { RequiredFeature(rawValue: $0)?.name ?? "bit \($0)" }
        throw .unsupported(at: offset, "needs feature \(names.joined(separator: ", ")), which this version of ckpt cannot read")
    }
}
