/// The positions of a tensor's elements as numbers of several digits, with a radix per digit. With
/// well-chosen radices, regular sets of positions are boxes of digits.
package struct ElementGrid: Sendable {
    /// Value of each digit, lowest first. The first is 1, and each divides the next.
    package let strides: [Int]
    /// Number of values of each digit.
    package let radices: [Int]

    /// Creates a grid.
    ///
    /// - Parameters:
    ///   - strides: Values of the digits, lowest first. Each divides the next; the first is 1, or
    ///     there is none.
    ///   - elements: Number of positions, at least 1.
    package init(strides: [Int], elements: Int) {
        let strides = strides.isEmpty ? [1] : strides
        self.strides = strides
        radices = strides.indices.map { digit in
            digit + 1 < strides.count
                ? strides[digit + 1] / strides[digit]
                : (elements - 1) / strides[digit] + 1
        }
    }

    /// Creates the grid in which the sets are few boxes.
    ///
    /// - Parameters:
    ///   - sets: Sets of positions in normal form.
    ///   - shape: Shape of the tensor, not empty.
    package init(for sets: [StridedElements], shape: [Int]) {
        let elements = shape.reduce(1, *)
        var uses: [Int: Int] = [:]
        for set in sets {
            for dimension in set.dimensions { uses[dimension.stride, default: 0] += 1 }
        }
        let own = Set(TensorShape.rowMajorStrides(shape))
        // The tensor's own strides divide each other; of the others, those used most come first.
        let candidates = uses.keys.sorted {
            let (a, b) = (own.contains($0), own.contains($1))
            if a != b { return a }
            return (uses[$1] ?? 0, $0) < (uses[$0] ?? 0, $1)
        }
        var chain = [1]
        for stride in candidates where !chain.contains(stride) {
            let place = chain.firstIndex { $0 > stride } ?? chain.count
            let isDivisor = place == chain.count || chain[place] % stride == 0
            let (_, isHuge) = elements.addingReportingOverflow(stride)
            if stride % chain[place - 1] == 0, isDivisor, !isHuge {
                chain.insert(stride, at: place)
            }
        }
        self.init(strides: chain, elements: elements)
    }

    /// The complete grid, which may have more positions than the tensor.
    package var size: Int { strides[strides.count - 1] * radices[radices.count - 1] }

    /// Returns the boxes of digits that make up a set.
    ///
    /// - Parameters:
    ///   - set: A valid set of positions of the grid, in normal form.
    ///   - limit: Maximum number of boxes.
    /// - Returns: Nil if there are more boxes.
    package func boxes(of set: StridedElements, atMost limit: Int) -> BoxList? {
        var boxes = BoxList(dimensions: strides.count)
        return append(set, label: 0, to: &boxes, atMost: limit) ? boxes : nil
    }

    /// Adds the boxes of digits that make up a set.
    ///
    /// - Parameters:
    ///   - set: A valid set of positions of the grid, in normal form.
    ///   - label: Label of the boxes.
    ///   - boxes: Takes the boxes.
    ///   - limit: Maximum length of `boxes`.
    /// - Returns: False if there are more boxes.
    func append(
        _ set: StridedElements, label: Int, to boxes: inout BoxList, atMost limit: Int
    ) -> Bool {
        var counts = [Int](repeating: 1, count: strides.count)
        var others: [StridedElements.Dimension] = []
        for dimension in set.dimensions {
            if let digit = strides.firstIndex(of: dimension.stride) {
                counts[digit] = dimension.count
            } else {
                others.append(dimension)
            }
        }
        var expansion = Expansion(grid: self, label: label, limit: limit, counts: counts)
        return expansion.addAll(others[...], set.offset, &boxes)
    }

    /// Converts a box of digits to positions.
    func elements(lower: [Int], upper: [Int]) -> StridedElements {
        StridedElements(
            offset: zip(lower, strides).reduce(0) { $0 + $1.0 * $1.1 },
            dimensions: strides.indices.reversed().map {
                .init(count: upper[$0] - lower[$0], stride: strides[$0])
            })
    }
}

/// The expansion of one set of positions to boxes of digits.
private struct Expansion {
    let grid: ElementGrid
    let label: Int
    let limit: Int
    /// Number of steps that the set takes in each digit. They may carry into the next one.
    var counts: [Int]
    var lower: [Int]
    var upper: [Int]

    init(grid: ElementGrid, label: Int, limit: Int, counts: [Int]) {
        (self.grid, self.label, self.limit, self.counts) = (grid, label, limit, counts)
        lower = counts
        upper = counts
    }

    /// Adds the boxes of every combination of dimensions whose strides are not values of a digit.
    mutating func addAll(
        _ others: ArraySlice<StridedElements.Dimension>, _ offset: Int, _ boxes: inout BoxList
    ) -> Bool {
        guard let first = others.first else { return add(digit: 0, offset, &boxes) }
        for index in 0..<first.count {
            guard addAll(others.dropFirst(), offset + index * first.stride, &boxes) else {
                return false
            }
        }
        return true
    }

    /// Adds the boxes whose digits below `digit` are chosen: those before the first carry, those of
    /// full digits, and those after the last carry.
    private mutating func add(digit: Int, _ offset: Int, _ boxes: inout BoxList) -> Bool {
        guard digit < counts.count else {
            guard boxes.count < limit else { return false }
            boxes.append(lower: lower, upper: upper, label: label)
            return true
        }
        let (stride, radix, count) = (grid.strides[digit], grid.radices[digit], counts[digit])
        let first = offset / stride % radix
        let isAligned = first == 0 && count >= radix
        let head = isAligned ? 0 : min(count, radix - first)
        if head > 0 {
            (lower[digit], upper[digit]) = (first, first + head)
            guard add(digit: digit + 1, offset, &boxes) else { return false }
        }
        guard count > head else { return true }
        guard digit + 1 < counts.count else {
            // The last digit does not carry: every position is inside the grid.
            (lower[digit], upper[digit]) = (0, count)
            return add(digit: digit + 1, offset, &boxes)
        }
        let next = grid.strides[digit + 1]
        let base = offset - first * stride + (isAligned ? 0 : next)
        let (full, tail) = (count - head).quotientAndRemainder(dividingBy: radix)
        if full > 0 {
            (lower[digit], upper[digit]) = (0, radix)
            // Dimensions nest, so one that fills this digit leaves no other of the next stride.
            let saved = counts[digit + 1]
            counts[digit + 1] = full * saved
            defer { counts[digit + 1] = saved }
            guard add(digit: digit + 1, base, &boxes) else { return false }
        }
        guard tail > 0 else { return true }
        (lower[digit], upper[digit]) = (0, tail)
        return add(digit: digit + 1, base + full * next, &boxes)
    }
}
