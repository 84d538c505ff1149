/// Identity of a stored block in a store: its segment, and its offset there.
///
/// A cast has no stored bytes, and therefore no separate identity: it is kept or removed with its
/// base.
package struct BlockID: Hashable, Sendable {
    package var segment: SegmentName
    /// Offset in the segment's file, in bytes.
    package var offset: Int

    package init(segment: SegmentName, offset: Int) {
        self.segment = segment
        self.offset = offset
    }

    /// The identity of a block of a manifest.
    ///
    /// - Parameters:
    ///   - block: A row of the block table; not a cast.
    ///   - segments: The segment table of the same manifest.
    package init(_ block: BlockRecord, in segments: [SegmentReference]) {
        self.init(segment: segments[block.segment].name, offset: block.offset)
    }
}
