package import CheckpointCodecs
package import CheckpointFormat

/// Encoder of blocks, which writes them to spare memory or leaves them in place.
package struct BlockEncoder: Sendable {
    package let compression: Compression
    private let codec: any BlockCodec
    /// The same codec if it is `PlanesCodec`, which can use the element types.
    private let planes: PlanesCodec?

    /// Creates an encoder.
    ///
    /// - Parameter compression: The codec and its level. `auto` counts as `balanced`.
    package init(_ compression: Compression) {
        self.compression = compression
        codec = compression.codec
        planes = codec as? PlanesCodec
    }

    /// True if `encode` needs spare memory to compress.
    package var needsSpare: Bool { codec.identifier != .raw }

    /// Encodes a block and pads the stored bytes with zeros to a whole page. A block that
    /// compression does not make smaller by at least 1/64 is stored raw. Any thread may call it; it
    /// takes no lock.
    ///
    /// - Parameters:
    ///   - raw: Memory that begins with the raw bytes; a whole number of pages. Padding is written
    ///     behind the raw bytes.
    ///   - rawBytes: Number of raw bytes.
    ///   - runs: The types of the raw bytes, in order; empty if they are unknown.
    ///   - memory: Results of earlier trials of the same block; updated.
    ///   - contentHash: Hash of the raw bytes, if it is known; saves hashing a raw block.
    ///   - spare: Memory as large as `raw` for the encoded block; nil stores the block raw.
    /// - Returns: The block, and true if its stored bytes are in `spare`. Otherwise they are in
    ///   `raw`.
    package func encode(
        _ raw: MemoryRegion, rawBytes: Int, runs: [ElementRun], memory: inout CodecMemory, contentHash: Hash128? = nil,
        spare: MemoryRegion?
    ) -> (block: EncodedBlock, isInSpare: Bool) {
        // Without room for a larger result: a block that does not shrink is stored raw.
        if needsSpare, let spare, let stored = encode(raw.prefix(rawBytes), runs, &memory, into: spare),
            StorageRule.isWorthwhile(storedBytes: stored, rawBytes: rawBytes)
        {
            let hash = finish(spare, storedBytes: stored)
            return (EncodedBlock(codec: codec.identifier, rawBytes: rawBytes, storedBytes: stored, storedHash: hash), true)
        }
        let hash = finish(raw, storedBytes: rawBytes, contentHash: contentHash)
        return (EncodedBlock(codec: .raw, rawBytes: rawBytes, storedBytes: rawBytes, storedHash: hash), false)
    }

    /// Encodes a block whose element types are unknown, without results of earlier trials.
    ///
    /// - Parameters:
    ///   - raw: Memory that begins with the raw bytes; a whole number of pages.
    ///   - rawBytes: Number of raw bytes.
    ///   - contentHash: Hash of the raw bytes, if it is known.
    ///   - spare: Memory as large as `raw` for the encoded block, or nil.
    /// - Returns: The block, and true if its stored bytes are in `spare`.
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

    /// Pads the stored bytes with zeros and returns their hash64.
    private func finish(_ region: MemoryRegion, storedBytes: Int, contentHash: Hash128? = nil) -> UInt64 {
        region[storedBytes..<roundedUpToPage(storedBytes)].fillWithZeros()
        if let contentHash, let hash = Hashing.hash64(from: contentHash, byteCount: storedBytes) { return hash }
        return region.prefix(storedBytes).hash64
    }
}
