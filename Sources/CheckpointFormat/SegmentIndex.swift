/// The index of a segment and its trailer (Formats/segment.md, Index, Trailer).
package struct SegmentIndex: Equatable, Sendable {
    package static let trailerBytes = 64

    package var blocks: [SegmentBlock]
    package var indexOffset: Int
    package var fileBytes: Int
    /// The hash in the trailer, by which manifests identify the segment.
    package var trailerHash: Hash128

    /// Encodes the index and the trailer.
    ///
    /// - Parameters:
    ///   - blocks: The blocks, in order of offset and without gaps.
    ///   - digest: The hash function.
    /// - Returns: The index, and the bytes to write at `indexOffset`, in full pages.
    package static func encoded(blocks: [SegmentBlock], digest: Digest) -> (
        index: SegmentIndex, bytes: [UInt8]
    ) {
        let indexOffset = blocks.last?.paddedEnd ?? Limits.pageBytes
        let indexBytes = roundedUpToPage(blocks.count * SegmentBlock.rowBytes + trailerBytes)
        var writer = ByteWriter(capacity: indexBytes)
        for block in blocks { block.encode(to: &writer) }
        writer.zeros(indexBytes - trailerBytes - writer.bytes.count)
        writer.magic("CKPTSEGE")
        writer.integer(SegmentHeader.version)
        writer.zeros(2)
        writer.count(UInt32.self, blocks.count)
        writer.count(UInt64.self, indexOffset)
        writer.count(UInt64.self, indexOffset + indexBytes)
        writer.zeros(16)
        let hash = digest(writer.bytes[...])
        writer.identifier(hash)
        let index = SegmentIndex(
            blocks: blocks, indexOffset: indexOffset, fileBytes: indexOffset + indexBytes,
            trailerHash: hash)
        return (index, writer.bytes)
    }

    /// The fields of the trailer, which are needed to read the index.
    package struct Trailer {
        package var blockCount: Int
        package var indexOffset: Int
        package var fileBytes: Int
        package var hash: Hash128

        /// Decodes a trailer.
        ///
        /// - Parameters:
        ///   - bytes: The last 64 bytes of the file.
        ///   - actual: Length of the file in bytes.
        /// - Throws: Damage at the field.
        package init(decoding bytes: ArraySlice<UInt8>, fileBytes actual: Int) throws(FormatError) {
            let origin = actual - SegmentIndex.trailerBytes
            guard actual % Limits.pageBytes == 0, actual >= 2 * Limits.pageBytes else {
                throw .damage(
                    at: actual,
                    "truncated: \(actual) bytes are fewer than two pages, or not a multiple of the page size"
                )
            }
            var reader = ByteReader(bytes, origin: origin)
            try reader.expect(magic: "CKPTSEGE")
            let version = try reader.integer(UInt16.self)
            guard version == SegmentHeader.version else {
                throw .damage(at: origin + 8, "version \(version) is not that of the header")
            }
            try reader.expectZeros(2, "reserved0")
            blockCount = try reader.count(
                UInt32.self, atMost: Limits.blocksPerSegmentMax, "blockCount")
            indexOffset = try reader.count(
                UInt64.self, atMost: Limits.segmentBytesMax, "indexOffset")
            fileBytes = try reader.count(UInt64.self, atMost: Limits.segmentBytesMax, "fileBytes")
            guard fileBytes == actual else {
                throw .damage(
                    at: origin + 24, "the file has \(actual) bytes, not \(fileBytes)")
            }
            guard indexOffset % Limits.pageBytes == 0, indexOffset >= Limits.pageBytes,
                indexOffset < fileBytes,
                fileBytes - indexOffset
                    == roundedUpToPage(
                        blockCount * SegmentBlock.rowBytes + SegmentIndex.trailerBytes)
            else {
                throw .damage(
                    at: origin + 16,
                    "an index of \(blockCount) blocks at \(indexOffset) does not end at the trailer"
                )
            }
            try reader.expectZeros(16, "reserved1")
            hash = try reader.identifier()
        }
    }

    /// Decodes the index.
    ///
    /// - Parameters:
    ///   - bytes: The bytes from `trailer.indexOffset` to the end of the file.
    ///   - trailer: The decoded trailer.
    ///   - digest: The hash function.
    /// - Throws: Damage or unsupported, at the field.
    package init(decoding bytes: ArraySlice<UInt8>, trailer: Trailer, digest: Digest)
        throws(FormatError)
    {
        precondition(bytes.count == trailer.fileBytes - trailer.indexOffset)
        guard digest(bytes.dropLast(16)) == trailer.hash else {
            throw .damage(at: trailer.fileBytes - 16, "the index does not match its hash")
        }
        var reader = ByteReader(bytes, origin: trailer.indexOffset)
        blocks = []
        var end = Limits.pageBytes
        for _ in 0..<trailer.blockCount {
            let block = try SegmentBlock(from: &reader, after: end, before: trailer.indexOffset)
            end = block.paddedEnd
            blocks.append(block)
        }
        guard end == trailer.indexOffset else {
            throw .damage(
                at: trailer.fileBytes - 48,
                "the blocks end at \(end), the index starts at \(trailer.indexOffset)")
        }
        try reader.expectZeros(reader.remaining - Self.trailerBytes, "padding after the index")
        indexOffset = trailer.indexOffset
        fileBytes = trailer.fileBytes
        trailerHash = trailer.hash
    }

    private init(blocks: [SegmentBlock], indexOffset: Int, fileBytes: Int, trailerHash: Hash128) {
        self.blocks = blocks
        self.indexOffset = indexOffset
        self.fileBytes = fileBytes
        self.trailerHash = trailerHash
    }
}
