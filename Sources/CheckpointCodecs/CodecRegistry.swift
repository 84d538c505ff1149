package import CheckpointFormat

/// The decoders of all codecs.
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
}
