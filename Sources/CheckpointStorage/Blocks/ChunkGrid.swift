internal import CheckpointFormat

/// Which bytes of two shards of one form may differ, as far as hashes tell: pure.
package enum ChunkGrid {
    /// The bytes of `a` that no pair of equal chunks covers, as few ranges as possible, in order, of whole elements.
    package static func unproven(_ a: [ChunkExtent], _ b: [ChunkExtent], width: Int) -> [Range<Int>] {
        let known = Dictionary(b.map { ($0.range, $0.hash) }, uniquingKeysWith: { first, _ in first })
        return unproven(a, width: width) { known[$0.range] == $0.hash }
    }

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

    /// Ranges of at most `bytes` bytes that make up `ranges`.
    package static func windows(_ ranges: [Range<Int>], of bytes: Int) -> [Range<Int>] {
        ranges.flatMap { range in
            stride(from: range.lowerBound, to: range.upperBound, by: bytes).map { $0..<min($0 + bytes, range.upperBound) }
        }
    }
}
