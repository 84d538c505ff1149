internal import CheckpointFormat

/// Comparison of two shards of one type and extent by the hashes of their chunks. Pure functions.
package enum ChunkGrid {
    /// Returns the bytes of `a` that are not proven equal to those of `b` by a pair of equal
    /// chunks.
    ///
    /// - Parameters:
    ///   - a: chunks of one shard, in order.
    ///   - b: chunks of the other shard.
    ///   - width: bytes of an element.
    /// - Returns: byte ranges of whole elements, in order, as few as possible.
    package static func unproven(_ a: [ChunkExtent], _ b: [ChunkExtent], width: Int) -> [Range<Int>] {
        let known = Dictionary(b.map { ($0.range, $0.hash) }, uniquingKeysWith: { first, _ in first })
        return unproven(a, width: width) { known[$0.range] == $0.hash }
    }

    /// Returns the bytes of those chunks for which `isEqual` is false.
    ///
    /// - Parameters:
    ///   - extents: chunks of a shard, in order.
    ///   - width: bytes of an element.
    ///   - isEqual: whether a chunk is known to be equal to its counterpart.
    /// - Returns: byte ranges of whole elements, in order, as few as possible.
    /// - Throws: the error of `isEqual`.
    package static func unproven<E: Error>(
        _ extents: [ChunkExtent], width: Int, isEqual: (ChunkExtent) throws(E) -> Bool
    ) throws(E) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        for extent in extents where try !isEqual(extent) {
            let start = extent.range.lowerBound / width * width
            let end = (extent.range.upperBound + width - 1) / width * width
            if let last = ranges.last, last.upperBound >= start {
                ranges[ranges.count - 1] = last.lowerBound..<max(end, last.upperBound)
            } else {
                ranges.append(start..<end)
            }
        }
        return ranges
    }

    /// Cuts ranges into windows.
    ///
    /// - Parameters:
    ///   - ranges: byte ranges.
    ///   - bytes: maximum size of a window.
    ///   - width: bytes of an element; each window holds whole elements if each range does.
    /// - Returns: windows that together cover `ranges`, in the same order.
    package static func windows(
        _ ranges: [Range<Int>], of bytes: Int, width: Int = 1
    ) -> [Range<Int>] {
        let bytes = bytes / width * width
        return ranges.flatMap { range in
            stride(from: range.lowerBound, to: range.upperBound, by: bytes).map { $0..<min($0 + bytes, range.upperBound) }
        }
    }
}
