/// The sizes of the parts into which a dimension is split.
public enum SplitRule: Hashable, Sendable {
    /// Equal parts; the extent must be divisible.
    case even
    /// Parts of the extent divided by their number, rounded up. The last ones are smaller or empty,
    /// as with `torch.chunk` and FSDP2.
    case chunks
    /// Parts that differ by at most one; larger ones first, as with `numpy.array_split`.
    case balanced
    /// Parts of these sizes, which add up to the extent.
    case sizes([Int])

    /// Returns the indices of one part.
    ///
    /// - Parameters:
    ///   - index: Number of the part, from 0.
    ///   - count: Number of parts, at least 1.
    ///   - extent: Extent of the dimension.
    /// - Throws: `ShardingError` if the extent cannot be split by this rule.
    package func part(
        _ index: Int, of count: Int, in extent: Int
    ) throws(ShardingError) -> Range<Int> {
        switch self {
        case .even:
            guard extent % count == 0 else {
                throw ShardingError(
                    .declaration, "\(extent) indices cannot be split into \(count) equal parts")
            }
            return extent / count * index..<extent / count * (index + 1)
        case .chunks:
            let size = extent / count + (extent % count > 0 ? 1 : 0)
            let start = size == 0 || index > extent / size ? extent : index * size
            return start..<start + min(size, extent - start)
        case .balanced:
            let (size, longer) = extent.quotientAndRemainder(dividingBy: count)
            let start = index * size + min(index, longer)
            return start..<start + size + (index < longer ? 1 : 0)
        case .sizes(let sizes):
            guard sizes.count == count, Self.sum(sizes) == extent else {
                throw ShardingError(
                    .declaration,
                    "parts of sizes \(sizes) are not \(count) parts of \(extent) indices")
            }
            let start = sizes[..<index].reduce(0, +)
            return start..<start + sizes[index]
        }
    }

    /// Returns the sum of sizes; nil if one is negative or the sum overflows.
    private static func sum(_ sizes: [Int]) -> Int? {
        var total = 0
        for size in sizes {
            let (sum, isHuge) = total.addingReportingOverflow(size)
            guard size >= 0, !isHuge else { return nil }
            total = sum
        }
        return total
    }
}
