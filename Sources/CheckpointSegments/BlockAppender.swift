package import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO

/// Appends blocks to the segments of one attempt: gives each a place, and writes it.
///
/// For maintenance, which stores blocks in the order in which they are ready. Any thread. A save
/// does without this type: it gives its blocks places in the order of their tensors.
package final class BlockAppender: Sendable {
    /// The writer of the segments; nil in a dry run.
    package let writer: SegmentWriter?
    private let layout = Monitor(SegmentLayout())

    /// Creates an appender.
    ///
    /// - Parameter writer: The writer; nil gives blocks their places, and writes nothing.
    package init(_ writer: SegmentWriter?) { self.writer = writer }

    /// Number of segments that blocks were appended to.
    package var segmentCount: Int { layout.withLock { $0.segmentCount } }

    /// Appends a block.
    ///
    /// - Parameters:
    ///   - block: The encoded block.
    ///   - region: Memory that begins with the stored bytes, followed by zeros up to a full page.
    /// - Returns: The block with its place.
    /// - Throws: as `SegmentWriter.write`.
    package func append(
        _ block: EncodedBlock, _ region: MemoryRegion
    ) throws(SegmentError) -> PlacedBlock {
        let placed = PlacedBlock(block, at: place(block))
        try writer?.write(region, as: placed)
        return placed
    }

    /// Appends a block whose stored bytes are not followed by zeros.
    ///
    /// - Parameters:
    ///   - block: The encoded block.
    ///   - stored: Its stored bytes, which are copied.
    ///   - scratch: Memory for the copy.
    /// - Returns: The block with its place.
    /// - Throws: Errors of `append(_:_:)`; `.outOfMemory`.
    package func append(
        _ block: EncodedBlock, copying stored: MemoryRegion, scratch: inout ScratchBuffer
    ) throws(SegmentError) -> PlacedBlock {
        let padded = try scratch.pages(for: block.storedBytes)
        padded.prefix(block.storedBytes).copy(from: stored)
        padded[block.storedBytes..<padded.count].fillWithZeros()
        return try append(block, padded)
    }

    /// Gives a block its place, in a dry run.
    package func plan(_ block: EncodedBlock) -> PlacedBlock {
        precondition(writer == nil, "a planned block would never be written")
        return PlacedBlock(block, at: place(block))
    }

    private func place(_ block: EncodedBlock) -> SegmentLayout.Place {
        layout.withLock { $0.place(bytes: block.storedBytes) }
    }

    /// Removes the files of an attempt that is given up.
    package func abandon() { writer?.abandon() }
}

extension ScratchBuffer {
    /// Returns memory of exactly `count` bytes.
    package mutating func bytes(_ count: Int) throws(SegmentError) -> MemoryRegion {
        do { return try region(atLeast: count).prefix(count) } catch { throw .outOfMemory(error) }
    }

    /// Returns memory for `count` bytes, rounded up to a full page.
    package mutating func pages(for count: Int) throws(SegmentError) -> MemoryRegion {
        try bytes(roundedUpToPage(count))
    }
}
