package import CheckpointCodecs
package import CheckpointFormat

/// How a block has been encoded.
package struct EncodedBlock: Equatable, Sendable {
    package var codec: CodecIdentifier
    package var rawBytes: Int
    package var storedBytes: Int
    package var storedHash: UInt64

    package init(codec: CodecIdentifier, rawBytes: Int, storedBytes: Int, storedHash: UInt64) {
        (self.codec, self.rawBytes) = (codec, rawBytes)
        (self.storedBytes, self.storedHash) = (storedBytes, storedHash)
    }
}

/// Encodes blocks, each where it lies or into spare memory.
package struct BlockEncoder: Sendable {
    package let compression: Compression
    private let codec: any BlockCodec
    /// The same codec, if it wants to know what it encodes.
    private let planes: PlanesCodec?

    package init(_ compression: Compression) {
        self.compression = compression
        codec = compression.codec
        planes = codec as? PlanesCodec
    }

    /// Whether `encode` wants spare memory.
    package var needsSpare: Bool { codec.identifier != .raw }

    /// Encodes the first `rawBytes` bytes of `raw`, and pads the stored bytes with zeros to a whole page.
    /// - Parameters:
    ///   - raw: a whole number of pages.
    ///   - runs: what the bytes are; empty if that is unknown.
    ///   - memory: what trials of the same block have found.
    ///   - contentHash: of the raw bytes, if it is known.
    ///   - spare: as large as `raw`, or nil.
    /// - Returns: the block, and whether it lies in `spare`; otherwise it lies in `raw`.
    package func encode(
        _ raw: MemoryRegion, rawBytes: Int, runs: [ElementRun], memory: inout CodecMemory, contentHash: Hash128? = nil,
        spare: MemoryRegion?
    ) -> (block: EncodedBlock, isInSpare: Bool) {
        // What does not fit into as many bytes is not worth storing.
        if needsSpare, let spare, let stored = encode(raw.prefix(rawBytes), runs, &memory, into: spare),
            CodecRegistry.isWorthwhile(storedBytes: stored, rawBytes: rawBytes)
        {
            let hash = finish(spare, storedBytes: stored)
            return (EncodedBlock(codec: codec.identifier, rawBytes: rawBytes, storedBytes: stored, storedHash: hash), true)
        }
        let hash = finish(raw, storedBytes: rawBytes, contentHash: contentHash)
        return (EncodedBlock(codec: .raw, rawBytes: rawBytes, storedBytes: rawBytes, storedHash: hash), false)
    }

    /// Encodes bytes of which nothing is known or remembered.
    package func encode(
        _ raw: MemoryRegion, rawBytes: Int, contentHash: Hash128? = nil, spare: MemoryRegion?
    ) -> (block: EncodedBlock, isInSpare: Bool) {
        var memory = CodecMemory()
        return encode(raw, rawBytes: rawBytes, runs: [], memory: &memory, contentHash: contentHash, spare: spare)
    }

    private func encode(
        _ raw: MemoryRegion, _ runs: [ElementRun], _ memory: inout CodecMemory, into spare: MemoryRegion
    ) -> Int? {
        guard let planes, !runs.isEmpty else { return unsafe codec.encode(raw.bytes, into: spare.mutableBytes) }
        return unsafe planes.encode(raw.bytes, runs: runs, memory: &memory, into: spare.mutableBytes)
    }

    /// Pads the stored bytes, and returns their hash.
    private func finish(_ region: MemoryRegion, storedBytes: Int, contentHash: Hash128? = nil) -> UInt64 {
        region[storedBytes..<roundedUpToPage(storedBytes)].fillWithZeros()
        if let contentHash, let hash = Hashing.hash64(from: contentHash, byteCount: storedBytes) { return hash }
        return region.prefix(storedBytes).hash64
    }
}
