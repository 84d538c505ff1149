/// The check that sets of positions cover a tensor, each element once.
package enum ElementCover {
    /// The first fault found.
    package enum Fault: Equatable, Sendable {
        /// No set has these elements.
        case hole(StridedElements)
        /// Two sets, given by their indices, have these elements.
        case overlap(StridedElements, Int, Int)
        /// The strides have nothing in common, and the sets have more than `runsPerTensorMax` runs.
        case irregular
    }

    /// Checks that no element of a tensor is in two sets and, unless holes are allowed, that every
    /// element is in one. Takes O(n log n) time for n sets that straight cuts separate.
    ///
    /// - Parameters:
    ///   - sets: Valid sets of positions of the tensor.
    ///   - shape: Shape of the tensor. The number of its elements does not overflow.
    ///   - allowsHoles: Elements may be in no set.
    /// - Returns: A fault; nil if there is none.
    package static func fault(
        _ sets: [StridedElements], in shape: [Int], allowsHoles: Bool = false
    ) -> Fault? {
        guard let elements = TensorShape.elementCount(shape), elements > 0 else { return nil }
        let sets = sets.map(\.normalized)
        // A grid without higher digits turns every run into a box.
        let grids = [
            (ElementGrid(for: sets, shape: shape), 4 * sets.count + Limits.runsPerTensorMax / 4),
            (ElementGrid(strides: [1], elements: elements), Limits.runsPerTensorMax),
        ]
        for (grid, limit) in grids {
            guard let boxes = boxes(sets, grid, elements, atMost: limit) else { continue }
            switch BoxCover.fault(region: grid.radices, boxes, allowsHoles: allowsHoles) {
            case .hole(let lower, let upper):
                return .hole(grid.elements(lower: lower, upper: upper).normalized)
            case .overlap(let lower, let upper, let labels):
                let elements = grid.elements(lower: lower, upper: upper).normalized
                return .overlap(elements, labels.0, labels.1)
            case nil: return nil
            }
        }
        return .irregular
    }

    private static func boxes(
        _ sets: [StridedElements], _ grid: ElementGrid, _ elements: Int, atMost limit: Int
    ) -> BoxList? {
        var boxes = BoxList(dimensions: grid.strides.count)
        for (index, set) in sets.enumerated() {
            guard grid.append(set, label: index, to: &boxes, atMost: limit) else { return nil }
        }
        guard grid.size > elements else { return boxes }
        // The grid may be larger than the tensor. No set has the rest of it.
        let rest = StridedElements(elements..<grid.size)
        return grid.append(rest, label: -1, to: &boxes, atMost: .max) ? boxes : nil
    }
}
