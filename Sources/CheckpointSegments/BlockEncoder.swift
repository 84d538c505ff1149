package import CheckpointCodecs
package import CheckpointFormat

/// How a block has been encoded.
package struct EncodedBlock: Equatable, Sendable {
    package var codec: CodecIdentifier
    package var rawBytes: Int
    package var storedBytes: Int
    package var storedHash: UInt64
}

/// Encodes blocks, each where it lies or into spare memory.
package struct BlockEncoder: Sendable {
    private let codec: any BlockCodec

    package init(_ compression: Compression) { codec = compression.codec }

    /// Whether `encode` wants spare memory.
    package var needsSpare: Bool { codec.identifier != .raw }

    /// Encodes the first `rawBytes` bytes of `raw`, and pads the stored bytes with zeros to a whole page.
    /// - Parameters:
    ///   - raw: a whole number of pages.
    ///   - contentHash: of the raw bytes, if it is known.
    ///   - spare: as large as `raw`, or nil.
    /// - Returns: the block, and whether it lies in `spare`; otherwise it lies in `raw`.
    package func encode(
        _ raw: MemoryRegion, rawBytes: Int, contentHash: Hash128? = nil, spare: MemoryRegion?
    ) -> (block: EncodedBlock, isInSpare: Bool) {
        // What does not fit into as many bytes is not worth storing.
        if needsSpare, let spare, let stored = unsafe codec.encode(raw.prefix(rawBytes).bytes, into: spare.mutableBytes),
            CodecRegistry.isWorthwhile(storedBytes: stored, rawBytes: rawBytes)
        {
            let hash = finish(spare, storedBytes: stored)
            return (EncodedBlock(codec: codec.identifier, rawBytes: rawBytes, storedBytes: stored, storedHash: hash), true)
        }
        let hash = finish(raw, storedBytes: rawBytes, contentHash: contentHash)
        return (EncodedBlock(codec: .raw, rawBytes: rawBytes, storedBytes: rawBytes, storedHash: hash), false)
    }

    /// Pads the stored bytes, and returns their hash.
    private func finish(_ region: MemoryRegion, storedBytes: Int, contentHash: Hash128? = nil) -> UInt64 {
        region[storedBytes..<roundedUpToPage(storedBytes)].fillWithZeros()
        if let contentHash, let hash = Hashing.hash64(from: contentHash, byteCount: storedBytes) { return hash }
        return region.prefix(storedBytes).hash64
    }
}
