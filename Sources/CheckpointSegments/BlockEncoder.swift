package import CheckpointCodecs
package import CheckpointFormat

/// How a block has been encoded.
package struct EncodedBlock: Equatable, Sendable {
    package var codec: CodecIdentifier
    package var rawBytes: Int
    package var storedBytes: Int
    package var storedHash: UInt64
}

/// Encodes blocks, each into its own memory or a worker's scratch buffer.
package struct BlockEncoder: Sendable {
    private let codec: any BlockCodec

    package init(_ compression: Compression) { codec = compression.codec }

    /// Scratch memory that `encode` needs for blocks of up to `rawBytes` bytes, a whole number of pages; 0 if none.
    package func scratchBytes(rawBytes: Int) -> Int {
        codec.identifier == .raw ? 0 : roundedUpToPage(codec.encodedBytesMax(rawBytes))
    }

    /// Encodes the first `rawBytes` bytes of `raw` and returns the stored bytes, padded with zeros to a whole page, which lie in `raw`
    /// itself (stored as they are) or in `scratch`. Both must be a whole number of pages.
    package func encode(
        _ raw: MemoryRegion, rawBytes: Int, scratch: MemoryRegion?
    ) -> (padded: MemoryRegion, block: EncodedBlock) {
        if let scratch, codec.identifier != .raw,
            let stored = unsafe codec.encode(raw.prefix(rawBytes).bytes, into: scratch.mutableBytes),
            CodecRegistry.isWorthwhile(storedBytes: stored, rawBytes: rawBytes)
        {
            return finish(scratch, codec.identifier, rawBytes: rawBytes, storedBytes: stored)
        }
        return finish(raw, .raw, rawBytes: rawBytes, storedBytes: rawBytes)
    }

    private func finish(
        _ region: MemoryRegion, _ codec: CodecIdentifier, rawBytes: Int, storedBytes: Int
    ) -> (MemoryRegion, EncodedBlock) {
        let padded = region.prefix(roundedUpToPage(storedBytes))
        padded[storedBytes..<padded.count].fillWithZeros()
        let hash = padded.prefix(storedBytes).hash64
        return (padded, EncodedBlock(codec: codec, rawBytes: rawBytes, storedBytes: storedBytes, storedHash: hash))
    }
}
