internal import CheckpointFormat

/// Positions of the elements of a strided tensor in its source, and a division of the source into
/// windows that can be read efficiently. It is pure arithmetic.
struct StridedLayout: Sendable {
    let type: ElementType
    let shape: [Int]
    /// Strides in elements, 0 or more.
    private let strides: [Int]
    /// Row-major strides, in elements.
    private let rows: [Int]
    /// Offset of element (0, ..., 0), in bytes.
    let byteOffset: Int

    /// Maximum number of bytes per read, unless a single element is larger.
    static let windowBytesMax = 1 << 20
    /// Maximum number of unneeded bytes between neighbours that are read anyway, because another
    /// call would cost more.
    static let gapBytesMax = 4 << 10

    /// A dimension of a block: the number of its indices, and their distances in elements.
    struct Dimension: Equatable {
        var count: Int
        var sourceStride: Int
        var outputStride: Int
    }

    /// Elements within one contiguous range of the source, possibly with others between them.
    struct Window: Equatable {
        /// Start of the range, in elements from element (0, ..., 0).
        var source: Int
        /// Length of the range, in elements.
        var span: Int
        /// Row-major number of the first element in the tensor.
        var output: Int
        /// Dimensions in ascending order of their source strides.
        var dimensions: [Dimension]
    }

    /// Analyses the strides of a tensor.
    ///
    /// - Returns: nil if the tensor is empty or row-major, or has a negative stride, which no
    ///   supported format can express.
    init?(_ type: ElementType, _ shape: [Int], strides: [Int], byteOffset: Int) {
        let rows = TensorShape.rowMajorStrides(shape)
        let wide = shape.indices.filter { shape[$0] > 1 }
        guard !shape.contains(0), !wide.allSatisfy({ strides[$0] == rows[$0] }), wide.allSatisfy({ strides[$0] >= 0 }) else { return nil }
        self.type = type
        self.shape = shape
        self.strides = strides
        self.rows = rows
        self.byteOffset = byteOffset
    }

    /// Calls `body` with windows that together hold each of a range of elements once.
    ///
    /// - Parameters:
    ///   - range: row-major numbers of the elements.
    ///   - body: called with one window after the other, in the order of reading.
    /// - Throws: rethrows the error of `body`.
    func forEachWindow<E: Error>(in range: Range<Int>, _ body: (Window) throws(E) -> Void) throws(E) {
        var position = range.lowerBound
        while position < range.upperBound {
            let (dimensions, count) = block(at: position, before: range.upperBound)
            let window = Window(source: source(of: position), span: 1, output: position, dimensions: [])
            try split(dimensions[...], window, body)
            position += count
        }
    }

    /// Returns the largest rectangular block of elements that begins at `position` and is
    /// consecutive in row-major order.
    private func block(at position: Int, before end: Int) -> (dimensions: [Dimension], count: Int) {
        let rank = shape.count
        let first = (0..<rank).first { position % rows[$0] == 0 && end - position >= rows[$0] } ?? rank - 1
        let extent = min(shape[first] - position / rows[first] % shape[first], (end - position) / rows[first])
        let dimensions = (first..<rank).map { dimension in
            Dimension(
                count: dimension == first ? extent : shape[dimension], sourceStride: strides[dimension], outputStride: rows[dimension])
        }
        let sorted = dimensions.filter { $0.count > 1 }.sorted { ($0.sourceStride, $0.outputStride) < ($1.sourceStride, $1.outputStride) }
        return (sorted, extent * rows[first])
    }

    /// Adds dimensions to the window, the smallest stride first, while the gaps between their
    /// elements are small; iterates over the remaining dimensions.
    private func split<E: Error>(_ rest: ArraySlice<Dimension>, _ window: Window, _ body: (Window) throws(E) -> Void) throws(E) {
        guard let nearest = rest.first else { return try body(window) }
        let fitting = fitting(nearest, window.span)
        guard fitting < nearest.count else {
            var wider = window
            wider.add(nearest)
            return try split(rest.dropFirst(), wider, body)
        }
        // In the order of the source: the dimension of the largest stride is the outermost loop.
        guard let farthest = rest.last, rest.count > 1 else { return try pieces(nearest, fitting, window, body) }
        for index in 0..<farthest.count { try split(rest.dropLast(), window.moved(farthest, by: index), body) }
    }

    private func pieces<E: Error>(
        _ dimension: Dimension, _ count: Int, _ window: Window, _ body: (Window) throws(E) -> Void
    ) throws(E) {
        for start in stride(from: 0, to: dimension.count, by: count) {
            var piece = window.moved(dimension, by: start)
            var part = dimension
            part.count = min(count, dimension.count - start)
            if part.count > 1 { piece.add(part) }
            try body(piece)
        }
    }

    /// Returns the number of indices of a dimension that one read covers, where each index has a
    /// range of `span` elements.
    private func fitting(_ dimension: Dimension, _ span: Int) -> Int {
        let (distance, room) = (dimension.sourceStride, Self.windowBytesMax / type.width - span)
        if distance == 0 { return dimension.count }
        let isFar = distance - span > Self.gapBytesMax / type.width
        return isFar ? 1 : min(dimension.count, max(room, 0) / distance + 1)
    }

    /// Returns the position of an element in the source, in elements from element (0, ..., 0).
    private func source(of element: Int) -> Int {
        shape.indices.reduce(0) { $0 + element / rows[$1] % shape[$1] * strides[$1] }
    }
}

extension StridedLayout.Window {
    fileprivate mutating func add(_ dimension: StridedLayout.Dimension) {
        dimensions.append(dimension)
        span += (dimension.count - 1) * dimension.sourceStride
    }

    fileprivate func moved(_ dimension: StridedLayout.Dimension, by index: Int) -> Self {
        var moved = self
        moved.source += index * dimension.sourceStride
        moved.output += index * dimension.outputStride
        return moved
    }
}
