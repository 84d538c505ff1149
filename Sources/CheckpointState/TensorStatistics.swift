package import CheckpointCodecs
package import CheckpointFormat

/// Statistics of a tensor's elements, accumulated part by part in `Double`.
public struct TensorStatistics: Equatable, Sendable {
    /// Number of elements added.
    public private(set) var elements = 0
    /// Number of NaN elements.
    public private(set) var nans = 0
    /// Number of infinite elements, of either sign.
    public private(set) var infinities = 0
    /// Number of zero elements, of either sign.
    public private(set) var zeros = 0
    /// The smallest and the largest finite element; nil if no element is finite.
    public private(set) var range: ClosedRange<Double>?
    /// Sum of the squares of the finite elements.
    public private(set) var squares = 0.0
    /// The first finite element, which is subtracted before summing: the sums below stay small and
    /// do not cancel where all elements are similar.
    private var origin = 0.0
    private var sum = 0.0
    private var sumOfSquares = 0.0

    package init() {}

    /// Number of elements that are neither NaN nor infinite. All further statistics are over these.
    public var finite: Int { elements - nans - infinities }
    /// Mean of the finite elements; nil if no element is finite.
    public var mean: Double? { finite > 0 ? origin + sum / Double(finite) : nil }
    /// Population standard deviation of the finite elements; nil if no element is finite.
    public var deviation: Double? {
        guard finite > 0 else { return nil }
        let shift = sum / Double(finite)
        return max(sumOfSquares / Double(finite) - shift * shift, 0).squareRoot()
    }
    /// L2 norm of the finite elements.
    public var norm: Double { squares.squareRoot() }

    /// Adds the elements of a region.
    ///
    /// - Parameters:
    ///   - region: row-major elements that follow those added so far.
    ///   - type: type of the elements.
    package mutating func add(_ region: MemoryRegion, of type: ElementType) {
        // A local copy stays in registers.
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
