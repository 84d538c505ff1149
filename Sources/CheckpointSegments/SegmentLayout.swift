internal import CheckpointFormat

/// Assigns the blocks of one save to segments and offsets. A pure value; the caller holds the lock.
package struct SegmentLayout: Sendable {
    /// A segment's number within the save, and an offset in its file in bytes.
    package struct Place: Equatable, Sendable {
        package var segment: Int
        package var offset: Int

        package init(segment: Int, offset: Int) {
            self.segment = segment
            self.offset = offset
        }
    }

    private let segmentBytesMax: Int
    private var nextOffset = Limits.pageBytes
    private var segment = 0
    private var blocksInSegment = 0

    /// Creates a layout without blocks.
    ///
    /// - Parameter segmentBytesMax: Size in bytes at which a new segment is started. The index is
    ///   not counted.
    package init(segmentBytesMax: Int = Limits.segmentBytesDefault) {
        precondition(segmentBytesMax >= 2 * Limits.pageBytes)
        self.segmentBytesMax = segmentBytesMax
    }

    /// Reserves space for a block.
    ///
    /// - Parameter bytes: Stored bytes of the block. The space is rounded up to whole pages.
    /// - Returns: The place of the block. Consecutive blocks in the same segment are adjacent.
    package mutating func place(bytes: Int) -> Place {
        let padded = roundedUpToPage(bytes)
        let isFull = nextOffset + padded > segmentBytesMax || blocksInSegment == Limits.blocksPerSegmentMax
        if isFull && blocksInSegment > 0 {
            segment += 1
            nextOffset = Limits.pageBytes
            blocksInSegment = 0
        }
        defer {
            nextOffset += padded
            blocksInSegment += 1
        }
        return Place(segment: segment, offset: nextOffset)
    }

    /// Number of segments that hold blocks.
    package var segmentCount: Int { blocksInSegment == 0 ? 0 : segment + 1 }
}
