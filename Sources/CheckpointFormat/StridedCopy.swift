/// A copy between the memories of two pieces of a tensor. All numbers count elements.
package struct StridedCopy: Hashable, Sendable {
    /// One dimension of a copy.
    struct Axis {
        var count: Int
        var sourceStride: Int
        var destinationStride: Int

        func isContinued(by inner: Axis) -> Bool {
            sourceStride == inner.count * inner.sourceStride
                && destinationStride == inner.count * inner.destinationStride
        }
    }

    /// Elements that are contiguous in both memories.
    package struct Run: Hashable, Sendable {
        package var source: Int
        package var destination: Int
        package var count: Int
    }

    package let shape: [Int]
    /// Position of the first element in the source.
    package let source: Int
    /// Distance in the source between neighbours, per dimension; descending.
    package let sourceStrides: [Int]
    /// Position of the first element in the destination.
    package let destination: Int
    /// Distance in the destination between neighbours, per dimension.
    package let destinationStrides: [Int]

    /// Creates a copy with as few dimensions as possible.
    init(_ source: Int, _ destination: Int, _ axes: [Axis]) {
        var merged: [Axis] = []
        for axis in axes.sorted(by: { $0.sourceStride > $1.sourceStride }) {
            if let last = merged.last, last.isContinued(by: axis) {
                merged[merged.count - 1] = Axis(
                    count: last.count * axis.count, sourceStride: axis.sourceStride,
                    destinationStride: axis.destinationStride)
            } else {
                merged.append(axis)
            }
        }
        shape = merged.map(\.count)
        self.source = source
        sourceStrides = merged.map(\.sourceStride)
        self.destination = destination
        destinationStrides = merged.map(\.destinationStride)
    }

    /// Number of elements.
    package var count: Int { shape.reduce(1, *) }

    /// Number of elements of each run.
    package var runElements: Int { hasRuns ? shape[shape.count - 1] : 1 }

    /// Number of runs.
    package var runCount: Int { count / runElements }

    /// Positions in the source.
    package var sourceElements: StridedElements {
        StridedElements(
            offset: source,
            dimensions: zip(shape, sourceStrides).map { .init(count: $0, stride: $1) })
    }

    /// Calls `body` for every run, in ascending order of the source.
    ///
    /// - Parameter body: Called with positions in elements.
    /// - Throws: The error of `body`.
    package func forEachRun<E: Error>(_ body: (Run) throws(E) -> Void) throws(E) {
        let outer = hasRuns ? shape.count - 1 : shape.count
        var run = Run(source: source, destination: destination, count: runElements)
        var index = [Int](repeating: 0, count: outer)
        while true {
            try body(run)
            var dimension = outer - 1
            while dimension >= 0, index[dimension] + 1 == shape[dimension] {
                run.source -= index[dimension] * sourceStrides[dimension]
                run.destination -= index[dimension] * destinationStrides[dimension]
                index[dimension] = 0
                dimension -= 1
            }
            guard dimension >= 0 else { return }
            index[dimension] += 1
            run.source += sourceStrides[dimension]
            run.destination += destinationStrides[dimension]
        }
    }

    /// Returns the part of the copy that reads a range of the source.
    ///
    /// - Parameter range: Positions in the source.
    /// - Returns: Copies, with positions in the source counted from the start of the range.
    package func part(reading range: Range<Int>) -> [StridedCopy] {
        guard !range.isEmpty else { return [] }
        return PieceIntersection.copies(
            from: ShardPiece(shape: [range.count], offset: range.lowerBound, strides: [1]),
            to: ShardPiece(
                shape: shape, offset: source, strides: sourceStrides, localOffset: destination,
                localStrides: destinationStrides))
    }

    /// The only run; nil if there are several.
    package var onlyRun: Run? {
        guard runCount == 1 else { return nil }
        return Run(source: source, destination: destination, count: count)
    }

    /// Returns true if no run begins or ends inside a byte.
    ///
    /// - Parameter type: Type of the elements.
    package func isWholeBytes(of type: ElementType) -> Bool {
        let unit = type.elementsPerUnit
        guard unit > 1 else { return true }
        let outer = hasRuns ? shape.count - 1 : shape.count
        return [source, destination, runElements].allSatisfy { $0 % unit == 0 }
            && (0..<outer).allSatisfy {
                sourceStrides[$0] % unit == 0 && destinationStrides[$0] % unit == 0
            }
    }

    private var hasRuns: Bool { sourceStrides.last == 1 && destinationStrides.last == 1 }
}
