/// Arithmetic on shapes. A shape lists the extents of a tensor, slowest dimension first; `[]` is a scalar.
package enum TensorShape {
    /// Number of elements, or nil if a dimension is negative, there are too many, or the product overflows.
    package static func elementCount(_ shape: [Int]) -> Int? {
        guard shape.count <= Limits.rankOfTensorMax, shape.allSatisfy({ $0 >= 0 }) else { return nil }
        if shape.contains(0) { return 0 }
        var count = 1
        for extent in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            if overflow { return nil }
            count = product
        }
        return count
    }

    /// Number of bytes of a row-major tensor, or nil as above.
    package static func byteCount(_ shape: [Int], _ type: ElementType) -> Int? {
        guard let count = elementCount(shape) else { return nil }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: type.width)
        return overflow ? nil : bytes
    }

    /// Strides, in elements, of a row-major tensor. A tensor that is too large has no element to reach: its strides may
    /// be anything.
    package static func rowMajorStrides(_ shape: [Int]) -> [Int] {
        var strides = [Int](repeating: 1, count: shape.count)
        for dimension in shape.indices.dropLast().reversed() {
            strides[dimension] = strides[dimension + 1] &* max(shape[dimension + 1], 1)
        }
        return strides
    }
}

/// The rectangular part of a tensor that one rank holds.
package struct ShardDescriptor: Hashable, Sendable {
    /// First index held, per dimension.
    package var offset: [Int]
    /// Number of indices held, per dimension.
    package var extent: [Int]

    package init(offset: [Int], extent: [Int]) {
        self.offset = offset
        self.extent = extent
    }

    /// The shard that is the whole tensor.
    package init(whole shape: [Int]) { self.init(offset: shape.map { _ in 0 }, extent: shape) }

    package func lies(inside shape: [Int]) -> Bool {
        guard offset.count == shape.count, extent.count == shape.count else { return false }
        return shape.indices.allSatisfy {
            offset[$0] >= 0 && extent[$0] >= 0 && offset[$0] <= shape[$0] && extent[$0] <= shape[$0] - offset[$0]
        }
    }

    package func overlaps(_ other: ShardDescriptor) -> Bool {
        offset.indices.allSatisfy {
            offset[$0] < other.offset[$0] + other.extent[$0] && other.offset[$0] < offset[$0] + extent[$0]
        } && !extent.contains(0) && !other.extent.contains(0)
    }
}
