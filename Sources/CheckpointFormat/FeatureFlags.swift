/// Features that a reader must know (Formats/versioning.md).
package enum RequiredFeature: UInt32, CaseIterable, Sendable {
    case parts = 0
    case delta = 1
    case cast = 2
    case alias = 3

    package var name: String { String(describing: self) }
    package var bit: UInt32 { 1 << rawValue }

    /// What this software can restore. The other features have their place in the format and are refused by name.
    package static let implemented: [RequiredFeature] = [.delta, .cast]

    /// The features that a set of bits stands for; refuses those that this software does not implement.
    package static func features(bits: UInt32, at offset: Int) throws(FormatError) -> Set<RequiredFeature> {
        let missing = bits & ~implemented.reduce(0) { $0 | $1.bit }
        guard missing != 0 else { return Set(implemented.filter { bits & $0.bit != 0 }) }
        let names = (0..<32).filter { missing >> $0 & 1 == 1 }.map { RequiredFeature(rawValue: $0)?.name ?? "bit \($0)" }
        throw .unsupported(at: offset, "needs feature \(names.joined(separator: ", ")), which this version cannot read")
    }
}

/// The codecs that a block may be stored with (Formats/codecs.md).
package enum CodecIdentifier: UInt8, CaseIterable, Sendable {
    case raw = 0
    case lz4 = 1
    case zstd = 2
    case planes = 3
    case delta = 4
    case castBF16 = 5
    case castF16 = 6

    /// A block that is made of another one, and has no bytes of its own in any segment.
    package var isCast: Bool { self == .castBF16 || self == .castF16 }

    package var name: String {
        switch self {
        case .castBF16: "cast-bf16"
        case .castF16: "cast-f16"
        default: String(describing: self)
        }
    }
}
