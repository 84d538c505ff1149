internal import CheckpointFormat

/// Decides where the blocks of one save go: which segment, at which offset. Pure; the caller holds the lock.
package struct SegmentLayout: Sendable {
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

    /// - Parameter segmentBytesMax: a new segment begins when the blocks would pass this; room for the index comes on top.
    package init(segmentBytesMax: Int = Limits.segmentBytesDefault) {
        precondition(segmentBytesMax >= 2 * Limits.pageBytes)
        self.segmentBytesMax = segmentBytesMax
    }

    /// Where the next block of `bytes` stored bytes goes. Blocks placed one after the other in one segment are adjacent.
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
