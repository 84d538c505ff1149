package import CheckpointFormat

/// A way to store the bytes of a block (Formats/codecs.md). Encoders and decoders write into the caller's memory and never past it.
package protocol BlockCodec: Sendable {
    var identifier: CodecIdentifier { get }

    /// An upper bound of what `encode` writes for `rawBytes` bytes.
    func encodedBytesMax(_ rawBytes: Int) -> Int

    /// Encodes `raw` into `stored`; the number of bytes written, or nil if they do not fit.
    func encode(_ raw: UnsafeRawBufferPointer, into stored: UnsafeMutableRawBufferPointer) -> Int?

    /// Decodes all of `stored` into exactly `raw.count` bytes.
    func decode(_ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer) throws(CodecError)

    /// Allocates what encoding `rawBytes` bytes takes in each of some threads, so that it allocates nothing later.
    func prepareToEncode(threads: Int, rawBytes: Int)
}

extension BlockCodec {
    package func prepareToEncode(threads: Int, rawBytes: Int) {}
}

/// Stored bytes that do not decode to what was promised.
package struct CodecError: Error, Equatable, CustomStringConvertible {
    package var codec: CodecIdentifier
    package var message: String

    package init(_ codec: CodecIdentifier, _ message: String) {
        self.codec = codec
        self.message = message
    }

    package var description: String { "\(codec.name): \(message)" }
}

/// How hard a save tries to make blocks smaller.
public enum Compression: Sendable, Hashable, CustomStringConvertible {
    case none
    case lz4
    /// Zstandard at a level from 1 (fast) to 19 (small).
    case zstd(level: Int)
    /// Byte planes of which the most frequent bytes get short codes: close to the speed of memory.
    case fast
    /// Byte planes with Huffman codes where they pay: the best ratio for the time of a save.
    case balanced
    /// Byte planes, every layout tried: for checkpoints that are kept.
    case max
    /// The engine chooses between `none`, `fast` and `balanced` for each save: by the speed of the disk, and by the time between saves.
    case auto

    package var codec: any BlockCodec {
        switch self {
        case .none: RawCodec()
        case .lz4: LZ4Codec()
        case .zstd(let level): ZstdCodec(level: level)
        case .fast: PlanesCodec(effort: .fast)
        // Where nobody chooses.
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

    /// Parses `none`, `lz4`, `zstd` (level 1), `zstd:LEVEL`, `fast`, `balanced`, `max` or `auto`.
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

package enum CodecRegistry {
    /// The decoder of a codec number.
    package static func decoder(_ identifier: CodecIdentifier) -> any BlockCodec {
        switch identifier {
        case .raw: RawCodec()
        case .lz4: LZ4Codec()
        case .zstd: ZstdCodec(level: 1)
        case .planes: PlanesCodec(effort: .balanced)
        case .delta, .castBF16, .castF16: BaselessCodec(identifier: identifier)
        }
    }

    /// Decodes all of `stored` into exactly `raw.count` bytes.
    /// - Parameter base: of a delta, the raw bytes that it is a delta of.
    package static func decode(
        _ identifier: CodecIdentifier, _ stored: MemoryRegion, base: MemoryRegion? = nil, into raw: MemoryRegion
    ) throws(CodecError) {
        if identifier == .delta, let base { return unsafe try DeltaCodec().decode(stored.bytes, base: base.bytes, into: raw.mutableBytes) }
        unsafe try decoder(identifier).decode(stored.bytes, into: raw.mutableBytes)
    }

    /// Whether `storedBytes` saves enough to be worth decoding later (Formats/codecs.md: 1/64).
    package static func isWorthwhile(storedBytes: Int, rawBytes: Int) -> Bool {
        storedBytes <= rawBytes - max(rawBytes / 64, 1)
    }
}
