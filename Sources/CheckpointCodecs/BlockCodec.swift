package import CheckpointFormat

/// An encoding of a block's bytes (Formats/codecs.md). Encoders and decoders write into the
/// caller's memory and never past its end. Several threads may use a codec at the same time.
package protocol BlockCodec: Sendable {
    var identifier: CodecIdentifier { get }

    /// Returns an upper bound for the result of `encode`, in bytes.
    ///
    /// - Parameter rawBytes: Number of bytes to encode.
    func encodedBytesMax(_ rawBytes: Int) -> Int

    /// Encodes a block.
    ///
    /// - Parameters:
    ///   - raw: The bytes to encode.
    ///   - stored: Memory for the result.
    /// - Returns: Number of bytes written; nil if they do not fit.
    func encode(_ raw: UnsafeRawBufferPointer, into stored: UnsafeMutableRawBufferPointer) -> Int?

    /// Decodes a block.
    ///
    /// - Parameters:
    ///   - stored: The encoded bytes; all of them are used.
    ///   - raw: Memory for the result; exactly as large as it.
    /// - Throws: `CodecError` if `stored` does not decode to exactly `raw.count` bytes.
    func decode(_ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer) throws(CodecError)

    /// Allocates the memory that encoding needs, so that `encode` allocates nothing later.
    ///
    /// - Parameters:
    ///   - threads: Number of threads that will encode at the same time.
    ///   - rawBytes: Size of the blocks in bytes.
    func prepareToEncode(threads: Int, rawBytes: Int)
}

extension BlockCodec {
    package func prepareToEncode(threads: Int, rawBytes: Int) {}
}

/// Stored bytes that do not decode to the expected bytes.
package struct CodecError: Error, Equatable, CustomStringConvertible {
    package var codec: CodecIdentifier
    package var message: String

    package init(_ codec: CodecIdentifier, _ message: String) {
        self.codec = codec
        self.message = message
    }

    package var description: String { "\(codec.name): \(message)" }
}

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
    /// the time between saves.
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

/// The decoders of all codecs, and the rule for storing a block raw.
package enum CodecRegistry {
    /// Returns the decoder of a codec. For a delta or a cast this is a decoder that fails, because
    /// those need a base.
    package static func decoder(_ identifier: CodecIdentifier) -> any BlockCodec {
        switch identifier {
        case .raw: RawCodec()
        case .lz4: LZ4Codec()
        case .zstd: ZstdCodec(level: 1)
        case .planes: PlanesCodec(effort: .balanced)
        case .delta, .castBF16, .castF16: BaselessCodec(identifier: identifier)
        }
    }

    /// Decodes a block.
    ///
    /// - Parameters:
    ///   - identifier: The codec.
    ///   - stored: The encoded bytes; all of them are used.
    ///   - base: For a delta, the raw bytes of the block that it is based on, of the same length as
    ///     `raw`.
    ///   - raw: Memory for the result; exactly as large as it.
    /// - Throws: `CodecError` if `stored` does not decode to exactly `raw.count` bytes, or if the
    ///   codec needs a base and none is given.
    package static func decode(
        _ identifier: CodecIdentifier, _ stored: MemoryRegion, base: MemoryRegion? = nil, into raw: MemoryRegion
    ) throws(CodecError) {
        if identifier == .delta, let base { return unsafe try DeltaCodec().decode(stored.bytes, base: base.bytes, into: raw.mutableBytes) }
        unsafe try decoder(identifier).decode(stored.bytes, into: raw.mutableBytes)
    }

    /// Returns true if an encoding saves at least 1/64 of the size, which makes it worth decoding
    /// later (Formats/codecs.md).
    ///
    /// - Parameters:
    ///   - storedBytes: Size of the encoding.
    ///   - rawBytes: Size of the block.
    package static func isWorthwhile(storedBytes: Int, rawBytes: Int) -> Bool {
        storedBytes <= rawBytes - max(rawBytes / 64, 1)
    }
}
