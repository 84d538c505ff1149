internal import CheckpointFormat

/// Where the elements of a strided tensor lie, and in which pieces of the source they are best read: pure arithmetic.
struct StridedLayout: Sendable {
    let type: ElementType
    let shape: [Int]
    /// In elements, from 0 up.
    private let strides: [Int]
    /// Row-major distances, in elements.
    private let rows: [Int]
    /// Where element (0, ..., 0) lies, in bytes.
    let byteOffset: Int

    /// What is read at once, in bytes, unless a single element is larger.
    static let windowBytesMax = 1 << 20
    /// Bytes between neighbours that are read for nothing, because another call would cost more.
    static let gapBytesMax = 4 << 10

    /// A dimension of a block: how many indices it has, and how far apart they lie, in elements.
    struct Dimension: Equatable {
        var count: Int
        var sourceStride: Int
        var outputStride: Int
    }

    /// Elements that lie in one stretch of the source, with others between them perhaps.
    struct Window: Equatable {
        /// Where the stretch begins, in elements from the first.
        var source: Int
        /// Its length, in elements.
        var span: Int
        /// The first element's row-major number in the tensor.
        var output: Int
        /// By their source strides, the smallest first.
        var dimensions: [Dimension]
    }

    /// - Returns: nil if the tensor is row-major, or has a stride below 0, which no format here can say.
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

    /// Calls `body` with windows that hold the row-major elements `range`, each once, and are read in this order.
    func forEachWindow<E: Error>(in range: Range<Int>, _ body: (Window) throws(E) -> Void) throws(E) {
        var position = range.lowerBound
        while position < range.upperBound {
            let (dimensions, count) = block(at: position, before: range.upperBound)
            let window = Window(source: source(of: position), span: 1, output: position, dimensions: [])
            try split(dimensions[...], window, body)
            position += count
        }
    }

    /// The largest rectangular block of elements that begins at `position` and follow each other in row-major order.
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

    /// Takes dimensions into the window, the nearest first, as long as little lies between their elements; goes over the rest.
    private func split<E: Error>(_ rest: ArraySlice<Dimension>, _ window: Window, _ body: (Window) throws(E) -> Void) throws(E) {
        guard let nearest = rest.first else { return try body(window) }
        let fitting = fitting(nearest, window.span)
        guard fitting < nearest.count else {
            var wider = window
            wider.add(nearest)
            return try split(rest.dropFirst(), wider, body)
        }
        // In the order of the source: the farthest is gone over first.
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

    /// How many indices of a dimension are read at once, beside what `span` elements there are for each.
    private func fitting(_ dimension: Dimension, _ span: Int) -> Int {
        let (distance, room) = (dimension.sourceStride, Self.windowBytesMax / type.width - span)
        if distance == 0 { return dimension.count }
        let isFar = distance - span > Self.gapBytesMax / type.width
        return isFar ? 1 : min(dimension.count, max(room, 0) / distance + 1)
    }

    /// Where an element lies, in elements from the first.
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
