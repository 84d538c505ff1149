/// Arithmetic on shapes. A shape lists the extents of a tensor, slowest dimension first; `[]` is a
/// scalar.
package enum TensorShape {
    /// Returns the number of elements of a tensor.
    ///
    /// - Parameter shape: Extents, in elements.
    /// - Returns: Nil if an extent is negative, there are more than `rankOfTensorMax` dimensions,
    ///   or the product overflows.
    package static func elementCount(_ shape: [Int]) -> Int? {
        guard shape.count <= Limits.rankOfTensorMax, shape.allSatisfy({ $0 >= 0 }) else {
            return nil
        }
        if shape.contains(0) { return 0 }
        var count = 1
        for extent in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            if overflow { return nil }
            count = product
        }
        return count
    }

    /// Returns the number of bytes of a row-major tensor.
    ///
    /// - Parameters:
    ///   - shape: Extents, in elements.
    ///   - type: Type of the elements.
    /// - Returns: Nil if the shape is invalid (see `elementCount`), the product overflows, or
    ///   packed elements do not fill the last byte.
    package static func byteCount(_ shape: [Int], _ type: ElementType) -> Int? {
        guard let count = elementCount(shape), count % type.elementsPerUnit == 0 else { return nil }
        let (bytes, overflow) = (count / type.elementsPerUnit).multipliedReportingOverflow(
            by: type.width)
        return overflow ? nil : bytes
    }

    /// Returns true if a shard begins and ends between bytes wherever it departs from the order of
    /// its tensor. This concerns packed types only.
    ///
    /// - Parameters:
    ///   - shard: A shard that lies inside `shape`.
    ///   - shape: Extents of the tensor, in elements.
    ///   - type: Type of the elements.
    package static func isWholeBytes(_ shard: ShardDescriptor, of shape: [Int], _ type: ElementType)
        -> Bool
    {
        let unit = type.elementsPerUnit
        if unit == 1 || shard.extent == shape { return true }
        return [shape.last, shard.offset.last, shard.extent.last].allSatisfy {
            ($0 ?? 1) % unit == 0
        }
    }

    /// Returns the strides of a row-major tensor, in elements.
    ///
    /// For a shape whose size overflows the strides are meaningless. That does no harm, because a
    /// tensor of such a shape has no element to reach.
    package static func rowMajorStrides(_ shape: [Int]) -> [Int] {
        var strides = [Int](repeating: 1, count: shape.count)
        for dimension in shape.indices.dropLast().reversed() {
            strides[dimension] = strides[dimension + 1] &* max(shape[dimension + 1], 1)
        }
        return strides
    }
}
