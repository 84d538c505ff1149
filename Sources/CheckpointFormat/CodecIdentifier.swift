/// The codecs that a block can be stored with (Formats/codecs.md).
package enum CodecIdentifier: UInt8, CaseIterable, Sendable {
    case raw = 0
    case lz4 = 1
    case zstd = 2
    case planes = 3
    case delta = 4
    case castBF16 = 5
    case castF16 = 6

    /// True for a cast: a block that is computed from another block and has no stored bytes in any
    /// segment.
    package var isCast: Bool { self == .castBF16 || self == .castF16 }

    package var name: String {
        switch self {
        case .raw: "raw"
        case .lz4: "lz4"
        case .zstd: "zstd"
        case .planes: "planes"
        case .delta: "delta"
        case .castBF16: "cast-bf16"
        case .castF16: "cast-f16"
        }
    }
}
