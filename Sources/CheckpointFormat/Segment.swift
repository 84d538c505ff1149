/// The first page of a segment file (Formats/segment.md, Header page).
package struct SegmentHeader: Equatable, Sendable {
    package static let version: UInt16 = 1
    private static let hashOffset = Limits.pageBytes - 16

    package var name: SegmentName
    package var store: StoreID

    /// Creates the header of a segment.
    ///
    /// - Parameters:
    ///   - name: The segment, as in the file's name.
    ///   - store: The store that the segment belongs to.
    package init(name: SegmentName, store: StoreID) {
        self.name = name
        self.store = store
    }

    /// Checks that the header belongs to a file with this name.
    ///
    /// - Throws: Damage at the field that differs.
    package func check(isFor expected: SegmentName) throws(FormatError) {
        guard name.rank == expected.rank else {
            throw .damage(at: 12, "rank \(name.rank) is not that of the file's name")
        }
        guard name.number == expected.number else {
            throw .damage(at: 16, "number \(name.number) is not that of the file's name")
        }
        guard name.attempt == expected.attempt else {
            throw .damage(at: 40, "attempt \(name.attempt) is not that of the file's name")
        }
    }

    /// Returns the header page: 4096 bytes, the last 16 of them the hash of the others.
    package func encoded(digest: Digest) -> [UInt8] {
        var writer = ByteWriter(capacity: Limits.pageBytes)
        writer.magic("CKPTSEGM")
        writer.integer(Self.version)
        writer.zeros(2)
        writer.count(UInt32.self, name.rank)
        writer.count(UInt32.self, name.number)
        writer.zeros(4)
        writer.identifier(store)
        writer.identifier(name.attempt)
        writer.zeros(Self.hashOffset - 56)
        writer.identifier(digest(writer.bytes[...]))
        return writer.bytes
    }

    /// Decodes a header page.
    ///
    /// - Parameters:
    ///   - bytes: The start of the file; at least one page.
    ///   - digest: The hash function.
    /// - Throws: Damage or unsupported, at the field.
    package init(decoding bytes: ArraySlice<UInt8>, digest: Digest) throws(FormatError) {
        var reader = ByteReader(bytes)
        try reader.expect(magic: "CKPTSEGM")
        guard bytes.count >= Limits.pageBytes else {
            throw .damage(at: bytes.count, "truncated: the header page has \(bytes.count) bytes")
        }
        let page = bytes.prefix(Limits.pageBytes)
        var hashReader = ByteReader(page.suffix(16), origin: Self.hashOffset)
        guard try hashReader.identifier(Hash128.self) == digest(page.dropLast(16)) else {
            throw .damage(at: Self.hashOffset, "the header page does not match its hash")
        }
        _ = try reader.version(upTo: Self.version, of: "segment")
        try reader.expectZeros(2, "reserved0")
        let rank = try reader.count(UInt32.self, atMost: Limits.worldSizeMax - 1, "rank")
        let number = try reader.count(UInt32.self, atMost: Limits.segmentsPerRankMax - 1, "number")
        try reader.expectZeros(4, "reserved1")
        store = try reader.identifier()
        name = SegmentName(attempt: try reader.identifier(), rank: rank, number: number)
        try reader.expectZeros(Self.hashOffset - 56, "padding")
    }
}

/// Location and encoding of a block in its segment (Formats/segment.md, Index).
package struct SegmentBlock: Hashable, Sendable {
    package static let rowBytes = 32

    package var offset: Int
    package var storedBytes: Int
    package var rawBytes: Int
    package var storedHash: UInt64
    package var codec: CodecIdentifier

    /// Creates the index row of a block.
    ///
    /// - Parameters:
    ///   - offset: Offset in the file, in bytes; a multiple of the page size.
    ///   - storedBytes: Size in the file, without padding.
    ///   - rawBytes: Size after decoding.
    ///   - storedHash: hash64 of the stored bytes.
    ///   - codec: The codec that decodes the block.
    package init(
        offset: Int, storedBytes: Int, rawBytes: Int, storedHash: UInt64, codec: CodecIdentifier
    ) {
        self.offset = offset
        self.storedBytes = storedBytes
        self.rawBytes = rawBytes
        self.storedHash = storedHash
        self.codec = codec
    }

    /// Offset of the end of the block's padding.
    package var paddedEnd: Int { offset + roundedUpToPage(storedBytes) }

    fileprivate func encode(to writer: inout ByteWriter) {
        writer.count(UInt64.self, offset)
        writer.count(UInt32.self, storedBytes)
        writer.count(UInt32.self, rawBytes)
        writer.integer(storedHash)
        writer.integer(codec.rawValue)
        writer.zeros(7)
    }

    fileprivate init(from reader: inout ByteReader, after end: Int, before limit: Int)
        throws(FormatError)
    {
        let start = reader.offset
        offset = try reader.count(UInt64.self, atMost: Limits.segmentBytesMax, "offset")
        storedBytes = try reader.count(UInt32.self, atMost: Limits.blockBytesMax, "storedBytes")
        rawBytes = try reader.count(UInt32.self, atMost: Limits.blockBytesMax, "rawBytes")
        storedHash = try reader.integer()
        codec = try reader.codec()
        try reader.expectZeros(7, "reserved")
        guard storedBytes > 0 else { throw .damage(at: start + 8, "storedBytes is 0") }
        guard rawBytes > 0 else { throw .damage(at: start + 12, "rawBytes is 0") }
        guard offset == end else {
            throw .damage(
                at: start,
                "block at \(offset) does not follow the one before it, which ends at \(end)")
        }
        guard paddedEnd <= limit else {
            throw .damage(at: start, "block at \(offset) runs into the index")
        }
        guard codec != .raw || storedBytes == rawBytes else {
            throw .damage(at: start + 8, "the raw and stored sizes of a raw block differ")
        }
        guard !codec.isCast else {
            throw .damage(at: start + 24, "a block is a cast, which is never in a segment")
        }
    }
}

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

extension ByteReader {
    package mutating func codec() throws(FormatError) -> CodecIdentifier {
        let start = offset
        let number = try integer(UInt8.self)
        guard let codec = CodecIdentifier(rawValue: number) else {
            throw .unsupported(at: start, "codec \(number), which this version of ckpt cannot read")
        }
        return codec
    }
}
