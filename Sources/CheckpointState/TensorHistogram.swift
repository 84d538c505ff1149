package import CheckpointCodecs
package import CheckpointFormat

/// Histogram of a tensor's finite elements between the smallest and the largest, with bins of equal
/// width.
public struct TensorHistogram: Equatable, Sendable {
    /// The left edge of the first bin and the right edge of the last.
    public let range: ClosedRange<Double>
    /// Number of elements in each bin; the last bin includes its right edge.
    public private(set) var counts: [Int]
    private let scale: Double

    /// Creates an empty histogram.
    ///
    /// - Parameters:
    ///   - range: the left edge of the first bin and the right edge of the last.
    ///   - bins: number of bins, at least 1.
    package init(_ range: ClosedRange<Double>, bins: Int) {
        precondition(bins >= 1)
        self.range = range
        counts = [Int](repeating: 0, count: bins)
        // Halved, so that the width of a range from one end of Double to the other is finite.
        let half = range.upperBound / 2 - range.lowerBound / 2
        scale = half > 0 ? Double(bins) / half / 2 : 0
    }

    /// Adds the elements of a region.
    ///
    /// - Parameters:
    ///   - region: row-major elements that follow those added so far.
    ///   - type: type of the elements.
    package mutating func add(_ region: MemoryRegion, of type: ElementType) {
        let (lower, last, factor) = (range.lowerBound, counts.count - 1, scale)
        ElementValues.forEach(region, type) { value in
            guard value.isFinite else { return }
            let place = (value - lower) * factor
            // Only the right edge, and elements rounded up next to it, exceed `last`.
            counts[place < Double(last) ? max(Int(place), 0) : last] += 1
        }
    }
}
