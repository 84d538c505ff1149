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

    func encode(to writer: inout ByteWriter) {
        writer.count(UInt64.self, offset)
        writer.count(UInt32.self, storedBytes)
        writer.count(UInt32.self, rawBytes)
        writer.integer(storedHash)
        writer.integer(codec.rawValue)
        writer.zeros(7)
    }

    init(from reader: inout ByteReader, after end: Int, before limit: Int)
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
