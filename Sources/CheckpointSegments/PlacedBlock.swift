package import CheckpointFormat

/// A block with its place in the segments of one attempt.
package struct PlacedBlock: Equatable, Sendable {
    /// Number of the segment within the attempt.
    package var segment: Int
    /// Location and encoding of the block in that segment.
    package var location: SegmentBlock

    package init(segment: Int, location: SegmentBlock) {
        self.segment = segment
        self.location = location
    }

    /// Describes an encoded block at the place that a layout gave it.
    package init(_ block: EncodedBlock, at place: SegmentLayout.Place) {
        self.init(
            segment: place.segment,
            location: SegmentBlock(
                offset: place.offset, storedBytes: block.storedBytes, rawBytes: block.rawBytes,
                storedHash: block.storedHash, codec: block.codec))
    }
}
