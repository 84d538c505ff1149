package import CheckpointCodecs
package import CheckpointFormat

/// Figures of a tensor's elements, gathered part by part in `Double`.
public struct TensorStatistics: Equatable, Sendable {
    /// Elements seen.
    public private(set) var elements = 0
    /// Elements that are no number.
    public private(set) var nans = 0
    /// Elements that are infinite, of either sign.
    public private(set) var infinities = 0
    /// Elements that are zero, of either sign.
    public private(set) var zeros = 0
    /// The smallest and the largest finite element; nil if there is none.
    public private(set) var range: ClosedRange<Double>?
    /// Sum of the squares of the finite elements.
    public private(set) var squares = 0.0
    /// The first finite element, from which the sums below are taken: so they stay small, and do not cancel, where all elements are alike.
    private var origin = 0.0
    private var sum = 0.0
    private var sumOfSquares = 0.0

    package init() {}

    /// Elements that are neither nan nor infinite; all further figures are theirs.
    public var finite: Int { elements - nans - infinities }
    /// Mean of the finite elements; nil if there is none.
    public var mean: Double? { finite > 0 ? origin + sum / Double(finite) : nil }
    /// Standard deviation of the finite elements, of the population; nil if there is none.
    public var deviation: Double? {
        guard finite > 0 else { return nil }
        let shift = sum / Double(finite)
        return max(sumOfSquares / Double(finite) - shift * shift, 0).squareRoot()
    }
    /// L2 norm of the finite elements.
    public var norm: Double { squares.squareRoot() }

    /// Adds the elements that follow.
    package mutating func add(_ region: MemoryRegion, of type: ElementType) {
        // A copy that nobody else sees stays in registers.
        var total = self
        ElementValues.forEach(region, type) { total.add($0) }
        self = total
    }

    @inline(__always)
    private mutating func add(_ value: Double) {
        elements += 1
        guard value.isFinite else {
            if value.isNaN { nans += 1 } else { infinities += 1 }
            return
        }
        if value == 0 { zeros += 1 }
        if let known = range {
            if value < known.lowerBound { range = value...known.upperBound }
            if value > known.upperBound { range = known.lowerBound...value }
        } else {
            (range, origin) = (value...value, value)
        }
        squares += value * value
        sum += value - origin
        sumOfSquares += (value - origin) * (value - origin)
    }
}

/// How a tensor's finite elements are spread between their smallest and largest: bins of one width.
public struct TensorHistogram: Equatable, Sendable {
    /// The left edge of the first bin and the right edge of the last.
    public let range: ClosedRange<Double>
    /// Elements in each bin; the last one includes its right edge.
    public private(set) var counts: [Int]
    private let scale: Double

    /// - Parameter bins: how many, at least one.
    package init(_ range: ClosedRange<Double>, bins: Int) {
        precondition(bins >= 1)
        self.range = range
        counts = [Int](repeating: 0, count: bins)
        // Halves, so that the width of a range from one end of Double to the other is finite.
        let half = range.upperBound / 2 - range.lowerBound / 2
        scale = half > 0 ? Double(bins) / half / 2 : 0
    }

    /// Adds the elements that follow.
    package mutating func add(_ region: MemoryRegion, of type: ElementType) {
        let (lower, last, factor) = (range.lowerBound, counts.count - 1, scale)
        ElementValues.forEach(region, type) { value in
            guard value.isFinite else { return }
            let place = (value - lower) * factor
            // Beyond `last` is only the right edge, and what rounding makes of the elements next to it.
            counts[place < Double(last) ? max(Int(place), 0) : last] += 1
        }
    }
}
