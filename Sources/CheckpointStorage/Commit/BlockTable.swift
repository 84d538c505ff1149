package import CheckpointFormat
package import CheckpointSegments

/// Segment and block rows of a manifest under construction.
///
/// Each segment and each block has one row, regardless of the number of chunks that refer to it.
package struct BlockTable {
    package private(set) var segments: [SegmentReference]
    package private(set) var blocks: [BlockRecord] = []
    private var segmentRows: [SegmentName: Int]
    private var blockRows: [BlockID: Int] = [:]
    private var castRows: [BlockRecord: Int] = [:]

    /// Creates a table with one row per segment.
    ///
    /// - Parameter segments: the segments just written, in order of segment number, so that
    ///   `add(_:inSegment:base:)` can take that number as the row.
    package init(_ segments: [SegmentReference] = []) {
        self.segments = segments
        segmentRows = Dictionary(uniqueKeysWithValues: segments.enumerated().map { ($1.name, $0) })
    }

    /// Adds a block of a segment that has a row.
    ///
    /// - Parameters:
    ///   - location: the block's position in its segment.
    ///   - segment: the segment's row.
    ///   - base: row of the block that this one is a delta of; nil if it is not a delta.
    /// - Returns: the block's row; an existing one if the block was added before.
    package mutating func add(_ location: SegmentBlock, inSegment segment: Int, base: Int? = nil) -> Int {
        let id = BlockID(segment: segments[segment].name, offset: location.offset)
        if let row = blockRows[id] { return row }
        blockRows[id] = blocks.count
        blocks.append(BlockRecord(segment: segment, location: location, base: base))
        return blocks.count - 1
    }

    /// Adds a block that was just written.
    ///
    /// - Parameters:
    ///   - block: the block; its segment's number is the segment's row.
    ///   - base: row of the block that this one is a delta of; nil if it is not a delta.
    /// - Returns: the block's row.
    package mutating func add(_ block: PlacedBlock, base: Int? = nil) -> Int {
        add(block.location, inSegment: block.segment, base: base)
    }

    /// Adds a cast of a range of a block that has a row. A cast has no stored bytes.
    ///
    /// - Parameters:
    ///   - codec: the cast.
    ///   - rawBytes: size of the result in bytes.
    ///   - base: row of the block that the cast is made from.
    ///   - sourceOffset: start of the range in the base's raw bytes.
    /// - Returns: the cast's row.
    package mutating func addCast(_ codec: CodecIdentifier, rawBytes: Int, of base: Int, at sourceOffset: Int) -> Int {
        let block = BlockRecord(cast: codec, rawBytes: rawBytes, of: base, at: sourceOffset, blocks)
        if let row = castRows[block] { return row }
        castRows[block] = blocks.count
        blocks.append(block)
        return blocks.count - 1
    }

    /// Adds a block, and its segment if that has no row yet.
    ///
    /// - Parameters:
    ///   - location: the block's position in its segment.
    ///   - segment: the segment.
    ///   - base: row of the block that this one is a delta of; nil if it is not a delta.
    /// - Returns: the block's row; an existing one if the block was added before.
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
