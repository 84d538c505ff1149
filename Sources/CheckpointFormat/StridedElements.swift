/// A regular set of positions: an offset and, per dimension, a count and a stride. Positions count
/// elements, of a tensor in row-major order or of a rank's memory.
package struct StridedElements: Hashable, Sendable {
    /// One dimension: `count` positions, `stride` elements apart.
    package struct Dimension: Hashable, Sendable {
        package var count: Int
        package var stride: Int

        package init(count: Int, stride: Int) {
            self.count = count
            self.stride = stride
        }
    }

    /// The lowest position.
    package var offset: Int
    package var dimensions: [Dimension]

    package init(offset: Int, dimensions: [Dimension]) {
        self.offset = offset
        self.dimensions = dimensions
    }

    /// Creates the set of the positions in a range.
    package init(_ range: Range<Int>) {
        self.init(
            offset: range.lowerBound, dimensions: [Dimension(count: range.count, stride: 1)])
    }

    /// Creates the set of the positions that a box has in a tensor's row-major order.
    ///
    /// - Parameters:
    ///   - box: A box inside the tensor.
    ///   - shape: Shape of the tensor. The number of its elements does not overflow.
    package init(_ box: ShardDescriptor, in shape: [Int]) {
        let strides = TensorShape.rowMajorStrides(shape)
        // The offset of an empty box may be as long as its dimension, and of no position.
        let isEmpty = box.extent.contains(0)
        self.init(
            offset: isEmpty ? 0 : zip(box.offset, strides).reduce(0) { $0 + $1.0 * $1.1 },
            dimensions: zip(box.extent, strides).map { Dimension(count: $0, stride: $1) })
    }

    /// Number of positions. The set must be valid (see `isValid`).
    package var count: Int { dimensions.reduce(1) { $0 * $1.count } }

    /// Distance from the lowest position to the highest. The set must be valid and not empty.
    package var reach: Int { dimensions.reduce(0) { $0 + ($1.count - 1) * $1.stride } }

    /// Returns true if the set is not empty, every position is less than `bound`, and the
    /// dimensions nest: each stride is greater than the distance that all smaller strides reach
    /// together. So no position occurs twice.
    package func isValid(below bound: Int) -> Bool {
        guard offset >= 0, offset < bound,
            dimensions.allSatisfy({ $0.count >= 1 && $0.stride >= 0 })
        else { return false }
        var reach = 0
        for dimension in dimensions.filter({ $0.count > 1 }).sorted(by: { $0.stride < $1.stride }) {
            guard dimension.stride > reach else { return false }
            let (step, isStepHuge) = dimension.stride.multipliedReportingOverflow(
                by: dimension.count - 1)
            let (sum, isSumHuge) = reach.addingReportingOverflow(step)
            guard !isStepHuge, !isSumHuge, sum <= bound - 1 - offset else { return false }
            reach = sum
        }
        return true
    }

    /// The same set with as few dimensions as possible, greatest stride first. Equal sets that were
    /// made from different shapes are equal in this form.
    package var normalized: StridedElements {
        var merged: [Dimension] = []
        for dimension in dimensions.filter({ $0.count != 1 }).sorted(by: { $0.stride > $1.stride })
        {
            if let last = merged.last, last.stride == dimension.count * dimension.stride {
                merged[merged.count - 1] = Dimension(
                    count: last.count * dimension.count, stride: dimension.stride)
            } else {
                merged.append(dimension)
            }
        }
        return StridedElements(offset: offset, dimensions: merged)
    }

    /// Number of runs of neighbouring positions. The set must be valid.
    package var runCount: Int {
        let dimensions = normalized.dimensions
        let outer = dimensions.last?.stride == 1 ? dimensions.dropLast() : dimensions[...]
        return outer.reduce(1) { $0 * $1.count }
    }
}

extension StridedElements {
    /// Returns a name of the set for people: a box such as `[0..<4, 6..<8]` if it is one, otherwise
    /// the number of elements and the first of them.
    ///
    /// - Parameter shape: Shape of the tensor.
    package func text(in shape: [Int]) -> String {
        if let box = ShardDescriptor(self, in: shape) {
            let sides = zip(box.offset, box.extent).map { "\($0)..<\($0 + $1)" }
            return "[\(sides.joined(separator: ", "))]"
        }
        var (rest, index) = (offset, [String]())
        for stride in TensorShape.rowMajorStrides(shape) {
            index.append("\(rest / stride)")
            rest %= stride
        }
        return "\(count) elements from [\(index.joined(separator: ", "))]"
    }
}

extension ShardDescriptor {
    /// Creates the box with these positions.
    ///
    /// - Parameters:
    ///   - elements: A valid set of positions of a tensor.
    ///   - shape: Shape of the tensor.
    /// - Returns: Nil if the positions are not a box.
    package init?(_ elements: StridedElements, in shape: [Int]) {
        guard let box = Self.boxes(elements, in: shape, atMost: 1)?.first else { return nil }
        self = box
    }

    /// Returns boxes that make up a set of positions.
    ///
    /// - Parameters:
    ///   - elements: A valid set of positions of a tensor.
    ///   - shape: Shape of the tensor.
    package static func boxes(_ elements: StridedElements, in shape: [Int]) -> [ShardDescriptor] {
        boxes(elements, in: shape, atMost: .max) ?? []
    }

    private static func boxes(
        _ elements: StridedElements, in shape: [Int], atMost limit: Int
    ) -> [ShardDescriptor]? {
        let strides = TensorShape.rowMajorStrides(shape)
        let long = Array(shape.indices.filter { shape[$0] > 1 }.reversed())
        let grid = ElementGrid(strides: long.map { strides[$0] }, elements: shape.reduce(1, *))
        guard let boxes = grid.boxes(of: elements.normalized, atMost: limit) else { return nil }
        return (0..<boxes.count).map { index in
            var box = ShardDescriptor(offset: shape.map { _ in 0 }, extent: shape.map { _ in 1 })
            for (digit, dimension) in long.enumerated() {
                box.offset[dimension] = boxes.lower(index, digit)
                box.extent[dimension] = boxes.upper(index, digit) - boxes.lower(index, digit)
            }
            return box
        }
    }
}
