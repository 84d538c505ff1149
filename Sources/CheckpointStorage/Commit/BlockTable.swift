internal import CheckpointFormat

/// The segment and block rows of a manifest while it is made up. Each segment and each block has one row, however often it is named.
package struct BlockTable {
    private struct Key: Hashable {
        var segment: Int
        var offset: Int
    }

    package private(set) var segments: [SegmentReference]
    package private(set) var blocks: [BlockRecord] = []
    private var segmentRows: [SegmentName: Int]
    private var blockRows: [Key: Int] = [:]
    private var castRows: [BlockRecord: Int] = [:]

    /// - Parameter segments: those just written, in order of number, so that blocks may be added by it.
    package init(_ segments: [SegmentReference] = []) {
        self.segments = segments
        segmentRows = Dictionary(uniqueKeysWithValues: segments.enumerated().map { ($1.name, $0) })
    }

    /// - Returns: the block's row.
    package mutating func add(_ location: SegmentBlock, inSegment segment: Int, base: Int? = nil) -> Int {
        let key = Key(segment: segment, offset: location.offset)
        if let row = blockRows[key] { return row }
        blockRows[key] = blocks.count
        blocks.append(BlockRecord(segment: segment, location: location, base: base))
        return blocks.count - 1
    }

    /// Adds a cast of raw bytes of a block that has a row.
    /// - Returns: the cast's row.
    package mutating func addCast(_ codec: CodecIdentifier, rawBytes: Int, of base: Int, at sourceOffset: Int) -> Int {
        let block = BlockRecord(cast: codec, rawBytes: rawBytes, of: base, at: sourceOffset, blocks)
        if let row = castRows[block] { return row }
        castRows[block] = blocks.count
        blocks.append(block)
        return blocks.count - 1
    }

    package mutating func add(_ location: SegmentBlock, of segment: SegmentReference, base: Int? = nil) -> Int {
        if location.codec.isCast, let base {
            return addCast(location.codec, rawBytes: location.rawBytes, of: base, at: location.offset)
        }
        let row = segmentRows[segment.name] ?? segments.count
        if row == segments.count {
            segments.append(segment)
            segmentRows[segment.name] = row
        }
        return add(location, inSegment: row, base: base)
    }
}
