internal import CheckpointFormat

// The steps of a `TensorSharding`.

extension LocalTensor {
    /// Returns the rank's memory after one more step; nil if the rank does not have the tensor.
    func applying(
        _ step: TensorSharding.Step, _ rank: Int, _ mesh: RankMesh
    ) throws(ShardingError) -> LocalTensor? {
        switch step {
        case .split(let dimension, let axis, let rule):
            let (index, count) = try mesh.place(of: rank, on: axis)
            let extent = try extent(of: dimension)
            return try joining([try rule.part(index, of: count, in: extent)], of: dimension)
        case .stridedSplit(let dimension, let axis, let factor):
            let (index, count) = try mesh.place(of: rank, on: axis)
            return try joining(
                try strided(dimension, index, count, factor), of: dimension)
        case .fused(let dimension, let sections, let order, let axis):
            let (index, count) = try mesh.place(of: rank, on: axis)
            return try fused(dimension, sections, order, index, count)
        case .heads(let dimension, let heads, let axis):
            let (index, count) = try mesh.place(of: rank, on: axis)
            let extent = try extent(of: dimension)
            guard heads >= 1, extent % heads == 0 else {
                throw ShardingError(
                    .declaration, "\(extent) indices cannot be split into \(heads) equal heads")
            }
            let section = FusedSection(units: heads, of: extent / heads)
            return try fused(dimension, [section], .blocked, index, count)
        case .padded(let dimension, let extent):
            return try padded(dimension, to: extent)
        case .slice(let dimension, let index):
            return try slice(dimension, at: index)
        case .permuted(let order):
            return try permuted(order)
        case .flat(let offset, let total, let axis, let rule):
            let (index, count) = try mesh.place(of: rank, on: axis)
            guard total >= 0 else { throw Self.misfit(offset, total, self.count) }
            return try flat(at: offset, of: total, try rule.part(index, of: count, in: total))
        case .only(let axis, let index):
            let (own, count) = try mesh.place(of: rank, on: axis)
            guard (0..<count).contains(index) else {
                throw ShardingError(.declaration, "mesh axis \(axis) has no coordinate \(index)")
            }
            return own == index ? self : nil
        }
    }

    private func extent(of dimension: Int) throws(ShardingError) -> Int {
        guard shape.indices.contains(dimension) else {
            throw ShardingError(
                .declaration, "a tensor of shape \(shape) has no dimension \(dimension)")
        }
        return shape[dimension]
    }

    /// Returns the memory that has some ranges of a dimension, one after the other.
    private func joining(
        _ ranges: [Range<Int>], of dimension: Int
    ) throws(ShardingError) -> LocalTensor {
        var (moves, end) = ([Move](), 0)
        for range in ranges {
            var box = ShardDescriptor(whole: shape)
            (box.offset[dimension], box.extent[dimension]) = (range.lowerBound, range.count)
            var origin = shape.map { _ in 0 }
            origin[dimension] = end
            moves.append(Move(box: box, origin: origin))
            end += range.count
        }
        var new = shape
        new[dimension] = end
        return try moved(to: new, moves)
    }

    private func strided(
        _ dimension: Int, _ index: Int, _ count: Int, _ factor: Int
    ) throws(ShardingError) -> [Range<Int>] {
        let extent = try extent(of: dimension)
        guard (1...Limits.worldSizeMax).contains(factor) else {
            throw ShardingError(
                .declaration, "a dimension cannot be split into \(factor) parts")
        }
        var ranges: [Range<Int>] = []
        for part in 0..<factor {
            let block = try SplitRule.chunks.part(part, of: factor, in: extent)
            let range = try SplitRule.chunks.part(index, of: count, in: block.count)
            ranges.append(block.lowerBound + range.lowerBound..<block.lowerBound + range.upperBound)
        }
        return ranges
    }

    private func fused(
        _ dimension: Int, _ sections: [FusedSection], _ order: FusedOrder, _ index: Int,
        _ count: Int
    ) throws(ShardingError) -> LocalTensor {
        let extent = try extent(of: dimension)
        var (starts, end) = ([Int](), 0)
        for section in sections {
            guard let size = section.extent, size <= extent - end else {
                throw Self.misfit(sections, extent)
            }
            starts.append(end)
            end += size
        }
        guard end == extent, !sections.isEmpty else { throw Self.misfit(sections, extent) }
        switch order {
        case .blocked:
            var ranges: [Range<Int>] = []
            for (start, section) in zip(starts, sections) {
                let units = try section.part(index, of: count)
                let first = start + units.lowerBound * section.unitExtent
                ranges.append(first..<first + units.count * section.unitExtent)
            }
            return try joining(ranges, of: dimension)
        case .interleaved:
            guard sections.allSatisfy({ $0.units == sections[0].units }) else {
                throw ShardingError(
                    .declaration, "interleaved sections must have the same number of units")
            }
            let units = try sections[0].part(index, of: count)
            return interleaved(dimension, Array(zip(starts, sections)), units)
        }
    }

    /// Returns the memory that has, for each of some units, the indices of every section.
    private func interleaved(
        _ dimension: Int, _ sections: [(start: Int, section: FusedSection)], _ units: Range<Int>
    ) -> LocalTensor {
        let step = sections.reduce(0) { $0 + $1.section.unitExtent }
        var new = shape
        new[dimension] = units.count * step
        guard count > 0 else { return taking([], shape: new) }
        let (outer, inner) = (
            shape[..<dimension].reduce(1, *), shape[(dimension + 1)...].reduce(1, *)
        )
        var (pieces, place) = ([ShardPiece](), 0)
        for (start, section) in sections {
            let extent = section.unitExtent
            let extents = [outer, units.count, extent, inner]
            if !extents.contains(0) {
                pieces.append(
                    ShardPiece(
                        shape: extents, offset: (start + units.lowerBound * extent) * inner,
                        strides: [shape[dimension] * inner, extent * inner, inner, 1],
                        localOffset: place * inner,
                        localStrides: [units.count * step * inner, step * inner, inner, 1]))
            }
            place += extent
        }
        return taking(pieces, shape: new)
    }

    private func padded(_ dimension: Int, to extent: Int) throws(ShardingError) -> LocalTensor {
        guard extent >= (try self.extent(of: dimension)) else {
            throw ShardingError(
                .declaration, "dimension \(dimension) of \(shape) is longer than \(extent)")
        }
        var new = shape
        new[dimension] = extent
        return try moved(
            to: new, [Move(box: ShardDescriptor(whole: shape), origin: shape.map { _ in 0 })])
    }

    private func slice(_ dimension: Int, at index: Int) throws(ShardingError) -> LocalTensor {
        guard (0..<(try extent(of: dimension))).contains(index) else {
            throw ShardingError(
                .declaration, "dimension \(dimension) of \(shape) has no index \(index)")
        }
        var new = shape
        new.remove(at: dimension)
        return try joining([index..<index + 1], of: dimension).reshaped(new)
    }

    private func permuted(_ order: [Int]) throws(ShardingError) -> LocalTensor {
        guard order.sorted() == Array(shape.indices) else {
            throw ShardingError(
                .declaration, "\(order) is not an order of the dimensions of \(shape)")
        }
        let new = order.map { shape[$0] }
        let steps = try Self.strides(of: new)
        guard count > 0 else { return taking([], shape: new) }
        var local = shape.map { _ in 0 }
        for (place, dimension) in order.enumerated() { local[dimension] = steps[place] }
        return taking(
            [
                ShardPiece(
                    shape: shape, offset: 0, strides: TensorShape.rowMajorStrides(shape),
                    localOffset: 0, localStrides: local)
            ], shape: new)
    }

    private func flat(
        at offset: Int, of total: Int, _ part: Range<Int>
    ) throws(ShardingError) -> LocalTensor {
        guard offset >= 0, offset <= total, count <= total - offset else {
            throw Self.misfit(offset, total, count)
        }
        let own = (offset..<offset + count).clamped(to: part)
        guard !own.isEmpty else { return taking([], shape: [part.count]) }
        let piece = ShardPiece(
            shape: [own.count], offset: own.lowerBound - offset, strides: [1],
            localOffset: own.lowerBound - part.lowerBound)
        return taking([piece], shape: [part.count])
    }

    private static func misfit(_ offset: Int, _ total: Int, _ count: Int) -> ShardingError {
        ShardingError(
            .declaration,
            "\(count) elements at offset \(offset) are outside a buffer of \(total) elements")
    }

    private static func misfit(_ sections: [FusedSection], _ extent: Int) -> ShardingError {
        let sizes = sections.map { "\($0.units) x \($0.unitExtent)" }.joined(separator: ", ")
        return ShardingError(
            .declaration, "sections of \(sizes) indices do not add up to \(extent)")
    }
}
