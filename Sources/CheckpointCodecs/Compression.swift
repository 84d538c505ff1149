internal import CheckpointFormat

/// Compression of a save: codec and effort.
public enum Compression: Sendable, Hashable, CustomStringConvertible {
    case none
    case lz4
    /// Zstandard at a level from 1 (fast) to 19 (small).
    case zstd(level: Int)
    /// Byte planes, with short codes for the most frequent bytes: close to the speed of memory.
    case fast
    /// Byte planes, with Huffman codes for the planes that they make smaller: the best ratio for
    /// the time of a save.
    case balanced
    /// Byte planes in the best of all layouts: for checkpoints that are kept.
    case max
    /// `none`, `fast` or `balanced`. The engine chooses for each save, by the speed of the disk and
    /// the time between saves, and leaves blocks raw for whose encoding training would wait.
    case auto

    package var codec: any BlockCodec {
        switch self {
        case .none: RawCodec()
        case .lz4: LZ4Codec()
        case .zstd(let level): ZstdCodec(level: level)
        case .fast: PlanesCodec(effort: .fast)
        // `auto` where no engine chooses.
        case .balanced, .auto: PlanesCodec(effort: .balanced)
        case .max: PlanesCodec(effort: .max)
        }
    }

    public var description: String {
        switch self {
        case .none: "none"
        case .lz4: "lz4"
        case .zstd(let level): "zstd:\(level)"
        case .fast: "fast"
        case .balanced: "balanced"
        case .max: "max"
        case .auto: "auto"
        }
    }

    /// Parses the name of a compression.
    ///
    /// - Parameter text: `none`, `lz4`, `zstd` (level 1), `zstd:LEVEL` (1 to 19), `fast`,
    ///   `balanced`, `max` or `auto`.
    /// - Returns: Nil for any other text.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        switch (parts.first, parts.count) {
        case ("none", 1): self = .none
        case ("lz4", 1): self = .lz4
        case ("fast", 1): self = .fast
        case ("balanced", 1): self = .balanced
        case ("max", 1): self = .max
        case ("auto", 1): self = .auto
        case ("zstd", 1): self = .zstd(level: 1)
        case ("zstd", 2):
            guard let level = Int(parts[1]), (1...19).contains(level) else { return nil }
            self = .zstd(level: level)
        default: return nil
        }
    }
}
