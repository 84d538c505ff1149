/// The search for the elements that two pieces have in common.
///
/// The two are intersected as regular sets: the time does not depend on the number of elements,
/// unless two strides have nothing in common.
package struct PieceIntersection {
    private var found: [StridedCopy] = []

    /// Returns the common elements of two pieces of one tensor.
    ///
    /// - Parameters:
    ///   - source: A valid piece.
    ///   - destination: A valid piece of the same tensor.
    /// - Returns: Copies from the memory of one to that of the other; each common element is in one
    ///   of them.
    package static func copies(
        from source: ShardPiece, to destination: ShardPiece
    ) -> [StridedCopy] {
        var search = PieceIntersection()
        search.meet(
            Side(
                source.shape, source.offset, source.strides, source.localOffset,
                source.localStrides),
            Side(
                destination.shape, destination.offset, destination.strides,
                destination.localOffset, destination.localStrides), [])
        return search.found
    }

    /// Returns the part of a tensor that a piece of one of its pieces is.
    ///
    /// - Parameters:
    ///   - outer: Piece of the tensor.
    ///   - inner: Piece of the memory of `outer`.
    /// - Returns: Pieces of the tensor in the memory of `inner`.
    package static func compose(_ outer: ShardPiece, _ inner: ShardPiece) -> [ShardPiece] {
        var search = PieceIntersection()
        search.meet(
            Side(outer.shape, outer.localOffset, outer.localStrides, outer.offset, outer.strides),
            Side(inner.shape, inner.offset, inner.strides, inner.localOffset, inner.localStrides),
            [])
        return search.found.map {
            ShardPiece(
                shape: $0.shape, offset: $0.source, strides: $0.sourceStrides,
                localOffset: $0.destination, localStrides: $0.destinationStrides)
        }
    }

    /// One dimension of a piece.
    private struct Axis {
        var count: Int
        /// Stride in the space in which the pieces meet.
        var stride: Int
        /// Stride in the piece's other space.
        var step: Int
    }

    /// The part of a piece that is left after a choice of some of its indices.
    private struct Side {
        var start: Int
        /// Position of the first element in the other space.
        var place: Int
        /// The dimensions that are left, greatest stride first.
        var axes: ArraySlice<Axis>

        init(_ shape: [Int], _ start: Int, _ strides: [Int], _ place: Int, _ steps: [Int]) {
            self.start = start
            self.place = place
            axes =
                shape.indices.filter { shape[$0] > 1 }
                .map { Axis(count: shape[$0], stride: strides[$0], step: steps[$0]) }
                .sorted { $0.stride > $1.stride }[...]
        }

        var end: Int { axes.reduce(start) { $0 + ($1.count - 1) * $1.stride } }

        /// Returns the rest at one index of an axis that is the first.
        func at(_ index: Int, of axis: Axis) -> Side {
            var side = self
            side.axes = axes.dropFirst()
            side.start += index * axis.stride
            side.place += index * axis.step
            return side
        }

        /// Returns the distance from the first to the last position at one index of an axis that
        /// is the first.
        func reach(after axis: Axis) -> Int { end - start - (axis.count - 1) * axis.stride }

        /// Divides an axis that is the first into blocks.
        ///
        /// - Parameters:
        ///   - axis: The axis.
        ///   - size: Number of indices of a block.
        ///   - other: Side whose blocks, one stride of its first axis apart, should each be inside
        ///     one block of this side.
        ///   - outer: The first axis of `other`; its stride is that of the blocks.
        /// - Returns: The indices before the first full block, the full blocks, and those after
        ///   the last; their first axis has one index for each block.
        func divided(
            _ axis: Axis, into size: Int, like other: Side, _ outer: Axis
        ) -> [Side] {
            func blocks(_ first: Int, _ number: Int, of size: Int, of full: Int) -> Side {
                var side = at(first, of: axis)
                var outer = [
                    Axis(
                        count: number, stride: axis.stride * full,
                        step: number > 1 ? axis.step * full : 0)
                ]
                if size > 1 {
                    outer.append(Axis(count: size, stride: axis.stride, step: axis.step))
                }
                side.axes = outer + side.axes
                return side
            }
            // Blocks from the first index on are best: there are none before the first full one.
            let lead = (other.start - start).remainder(modulo: outer.stride)
            let isInside = lead + other.reach(after: outer) < outer.stride
            let first = isInside ? 0 : ceiling(lead, axis.stride) % size
            let head = min(first, axis.count)
            let (number, tail) = (axis.count - head).quotientAndRemainder(dividingBy: size)
            var sides: [Side] = []
            if head > 0 { sides.append(blocks(0, 1, of: head, of: size)) }
            if number > 0 { sides.append(blocks(head, number, of: size, of: size)) }
            if tail > 0 { sides.append(blocks(head + number * size, 1, of: tail, of: size)) }
            return sides
        }

        /// Returns the indices of an axis that is the first at which the rest of this side can meet
        /// another.
        func indices(of axis: Axis, near other: Side) -> Range<Int> {
            let first = max(0, ceiling(other.start - reach(after: axis) - start, axis.stride))
            let last = min(axis.count - 1, floor(other.end - start, axis.stride))
            return first..<max(first, last + 1)
        }
    }

    /// Adds the common elements of two sides.
    ///
    /// - Parameters:
    ///   - a: The rest of the source.
    ///   - b: The rest of the destination.
    ///   - axes: The dimensions found so far.
    private mutating func meet(_ a: Side, _ b: Side, _ axes: [StridedCopy.Axis]) {
        guard a.start <= b.end, b.start <= a.end else { return }
        switch (a.axes.first, b.axes.first) {
        case (nil, nil):
            found.append(StridedCopy(a.place, b.place, axes))
        case (let x?, let y?) where x.stride == y.stride:
            meet(a, x, b, y, axes)
        case (let x?, let y?) where x.stride > y.stride && x.stride % y.stride == 0:
            for part in b.divided(y, into: x.stride / y.stride, like: a, x) {
                if let outer = part.axes.first { meet(a, x, part, outer, axes) }
            }
        case (let x?, let y?) where y.stride > x.stride && y.stride % x.stride == 0:
            for part in a.divided(x, into: y.stride / x.stride, like: b, y) {
                if let outer = part.axes.first { meet(part, outer, b, y, axes) }
            }
        case (let x?, let y) where x.stride > y?.stride ?? 0:
            for index in a.indices(of: x, near: b) { meet(a.at(index, of: x), b, axes) }
        case (_, let y?):
            for index in b.indices(of: y, near: a) { meet(a, b.at(index, of: y), axes) }
        case (_?, nil):
            preconditionFailure("a first axis has a stride")
        }
    }

    /// Adds the common elements of two sides whose first axes have the same stride. The rest of
    /// each side is shorter than that, so each of its blocks meets at most two of the other's.
    private mutating func meet(
        _ a: Side, _ x: Axis, _ b: Side, _ y: Axis, _ axes: [StridedCopy.Axis]
    ) {
        let (first, second) = (a.at(0, of: x), b.at(0, of: y))
        let lead = ceiling(first.start - second.end, x.stride)
        let lag = floor(first.end - second.start, x.stride)
        guard lead <= lag else { return }
        for shift in lead...lag {
            let start = max(0, -shift)
            let count = min(x.count, y.count - shift) - start
            guard count > 0 else { continue }
            var axes = axes
            if count > 1 {
                axes.append(.init(count: count, sourceStride: x.step, destinationStride: y.step))
            }
            meet(a.at(start, of: x), b.at(start + shift, of: y), axes)
        }
    }
}

/// Returns the greatest integer that is not more than a quotient.
private func floor(_ number: Int, _ divisor: Int) -> Int {
    number >= 0 ? number / divisor : -((divisor - 1 - number) / divisor)
}

/// Returns the least integer that is not less than a quotient.
private func ceiling(_ number: Int, _ divisor: Int) -> Int { -floor(-number, divisor) }

extension Int {
    /// Returns the remainder from 0 up to `modulus` - 1, of a negative number, too.
    fileprivate func remainder(modulo modulus: Int) -> Int {
        let remainder = self % modulus
        return remainder < 0 ? remainder + modulus : remainder
    }
}
