/// Location and encoding of a block (Formats/manifest.md, Block rows).
package struct BlockRecord: Hashable, Sendable {
    package static let rowBytes = 40
    package static let noBase = UInt32.max

    /// Row of the segment table.
    package var segment: Int
    /// Location in the segment's file. A cast has no stored bytes, and its offset counts the base's
    /// raw bytes up to the first that the cast is computed from.
    package var location: SegmentBlock
    /// Row of the block that this one is a delta or a cast of. It is always an earlier row.
    package var base: Int?

    /// Creates the record of a stored block.
    ///
    /// - Parameters:
    ///   - segment: Row of the segment table.
    ///   - location: Location of the block in the segment.
    ///   - base: For a delta, row of the block that it is based on; otherwise nil.
    package init(segment: Int, location: SegmentBlock, base: Int? = nil) {
        self.segment = segment
        self.location = location
        self.base = base
    }

    package var codec: CodecIdentifier { location.codec }
    package var offset: Int { location.offset }
    package var storedBytes: Int { location.storedBytes }
    package var rawBytes: Int { location.rawBytes }
    package var storedHash: UInt64 { location.storedHash }

    func encode(to writer: inout ByteWriter) {
        writer.count(UInt32.self, segment)
        writer.integer(codec.rawValue)
        writer.zeros(3)
        writer.count(UInt64.self, offset)
        writer.count(UInt32.self, storedBytes)
        writer.count(UInt32.self, rawBytes)
        writer.integer(storedHash)
        writer.integer(base.map { UInt32($0) } ?? Self.noBase)
        writer.zeros(4)
    }

    /// Creates the record of a cast: a block that is computed from the raw bytes of an earlier row.
    ///
    /// - Parameters:
    ///   - codec: The kind of cast.
    ///   - rawBytes: Size of the cast in bytes; even.
    ///   - base: Row of the block with the f32 elements.
    ///   - sourceOffset: Offset in that block's raw bytes, in bytes.
    ///   - blocks: The block table.
    package init(cast codec: CodecIdentifier, rawBytes: Int, of base: Int, at sourceOffset: Int, _ blocks: [BlockRecord]) {
        precondition(codec.isCast && blocks[base].canBeCast(rawBytes, at: sourceOffset))
        segment = blocks[base].segment
        location = SegmentBlock(offset: sourceOffset, storedBytes: 0, rawBytes: rawBytes, storedHash: 0, codec: codec)
        self.base = base
    }

    /// Returns true if this block's raw bytes can be the source of a cast.
    ///
    /// - Parameters:
    ///   - bytes: Size of the cast in bytes. Its elements have two bytes, those of the source four.
    ///   - offset: Offset of the source in this block's raw bytes, in bytes.
    package func canBeCast(_ bytes: Int, at offset: Int) -> Bool {
        !codec.isCast && bytes % 2 == 0 && bytes <= rawBytes / 2 && offset <= rawBytes - 2 * bytes
    }

    /// For a cast: the range of the base's raw bytes that it is computed from.
    package var sourceRange: Range<Int> { offset..<offset + 2 * rawBytes }

    /// Decodes a row and checks it.
    ///
    /// - Parameters:
    ///   - reader: The reader, at the start of the row.
    ///   - segments: The segment table.
    ///   - blocks: The rows before this one.
    ///   - features: The features that the header lists.
    /// - Throws: Damage or unsupported, at the field.
    init(
        from reader: inout ByteReader, segments: [SegmentReference], before blocks: [BlockRecord], features: Set<RequiredFeature>
    ) throws(FormatError) {
        let start = reader.offset
        segment = try reader.count(UInt32.self, atMost: segments.count - 1, "segment")
        let codec = try reader.codec()
        try reader.expectZeros(3, "reserved")
        let offset = try reader.count(UInt64.self, atMost: Limits.segmentBytesMax, "offset")
        let storedBytes = try reader.count(UInt32.self, atMost: Limits.blockBytesMax, "storedBytes")
        let rawBytes = try reader.count(UInt32.self, atMost: Limits.blockBytesMax, "rawBytes")
        let storedHash = try reader.integer(UInt64.self)
        location = SegmentBlock(
            offset: offset, storedBytes: storedBytes, rawBytes: rawBytes, storedHash: storedHash, codec: codec)
        let base = try reader.integer(UInt32.self)
        try reader.expectZeros(4, "reserved2")
        guard rawBytes > 0 else { throw .damage(at: start + 20, "rawBytes is 0") }
        try setBase(base == Self.noBase ? nil : Int(base), blocks, features, at: start)
        if codec.isCast { try checkCast(blocks, at: start) } else { try checkLocation(in: segments[segment], at: start) }
    }

    private mutating func setBase(
        _ row: Int?, _ blocks: [BlockRecord], _ features: Set<RequiredFeature>, at start: Int
    ) throws(FormatError) {
        guard (codec == .delta || codec.isCast) == (row != nil) else {
            throw .damage(at: start + 32, row == nil ? "a \(codec.name) block has no base" : "a block that needs no base has one")
        }
        guard let row else { return }
        guard features.contains(codec.isCast ? .cast : .delta) else {
            throw .damage(at: start + 32, "a \(codec.name) block is present without its feature")
        }
        guard row < blocks.count else { throw .damage(at: start + 32, "base \(row) is not an earlier row") }
        base = row
        // A base is always an earlier row, so the loop over the chain ends.
        guard codec.isCast || Self.chainLength(row, blocks) < Limits.deltaChainMax else {
            throw .damage(at: start + 32, "a chain has more than \(Limits.deltaChainMax) deltas")
        }
        guard codec.isCast || blocks[row].rawBytes == rawBytes else {
            throw .damage(at: start + 32, "a base has \(blocks[row].rawBytes) bytes, its block \(rawBytes)")
        }
    }

    private func checkCast(_ blocks: [BlockRecord], at start: Int) throws(FormatError) {
        guard let base, blocks[base].canBeCast(rawBytes, at: offset) else {
            throw .damage(at: start + 8, "a cast cannot have \(rawBytes) bytes at offset \(offset) of its base")
        }
        guard storedBytes == 0, storedHash == 0, segment == blocks[base].segment else {
            throw .damage(at: start, "a cast has stored bytes, or is not in the segment of its base")
        }
    }

    private func checkLocation(in reference: SegmentReference, at start: Int) throws(FormatError) {
        guard storedBytes > 0 else { throw .damage(at: start + 16, "storedBytes is 0") }
        guard offset % Limits.pageBytes == 0, offset >= Limits.pageBytes, offset <= reference.fileBytes - storedBytes else {
            throw .damage(at: start + 8, "a block of \(storedBytes) bytes at \(offset) is outside its segment")
        }
        guard codec != .raw || storedBytes == rawBytes else {
            throw .damage(at: start + 16, "a raw block has \(rawBytes) bytes, but \(storedBytes) stored bytes")
        }
    }

    /// Returns the number of bases of a row: the blocks that must be read before its block can be
    /// decoded.
    ///
    /// - Parameters:
    ///   - row: Row of the block table.
    ///   - blocks: The block table.
    package static func chainLength(_ row: Int, _ blocks: [BlockRecord]) -> Int {
        var (length, row) = (0, row)
        while let base = blocks[row].base { (length, row) = (length + 1, base) }
        return length
    }
}
