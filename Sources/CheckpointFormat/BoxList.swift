/// Boxes of integers with the same number of dimensions, each with a label.
package struct BoxList: Sendable {
    package let dimensions: Int
    /// Per box its label.
    package private(set) var labels: [Int] = []
    /// Per box and dimension the lowest index and the end.
    private var bounds: [Int] = []

    package init(dimensions: Int) { self.dimensions = dimensions }

    package var count: Int { labels.count }

    /// Returns the lowest index of a box in a dimension.
    package func lower(_ box: Int, _ dimension: Int) -> Int {
        bounds[2 * (box * dimensions + dimension)]
    }

    /// Returns the index after the highest of a box in a dimension.
    package func upper(_ box: Int, _ dimension: Int) -> Int {
        bounds[2 * (box * dimensions + dimension) + 1]
    }

    mutating func append(lower: [Int], upper: [Int], label: Int) {
        labels.append(label)
        for dimension in 0..<dimensions {
            bounds.append(lower[dimension])
            bounds.append(upper[dimension])
        }
    }

    mutating func append(_ box: Int, of other: BoxList) {
        labels.append(other.labels[box])
        bounds += other.bounds[2 * box * dimensions..<2 * (box + 1) * dimensions]
    }

    /// Adds the part of a box that is inside a range of one dimension. The part is not empty.
    mutating func append(_ box: Int, of other: BoxList, in range: Range<Int>, _ dimension: Int) {
        append(box, of: other)
        let place = 2 * ((count - 1) * dimensions + dimension)
        bounds[place] = max(bounds[place], range.lowerBound)
        bounds[place + 1] = min(bounds[place + 1], range.upperBound)
    }
}
