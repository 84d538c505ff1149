/// One of the matrices that are stored as one parameter, such as the queries of a fused QKV
/// projection: a number of units, such as heads, that are not split.
public struct FusedSection: Hashable, Sendable {
    /// Number of units.
    public var units: Int
    /// Number of indices of each unit along the fused dimension, such as the size of a head.
    public var unitExtent: Int

    /// Creates a section.
    ///
    /// - Parameters:
    ///   - units: Number of units.
    ///   - unitExtent: Number of indices of each unit.
    public init(units: Int, of unitExtent: Int) {
        self.units = units
        self.unitExtent = unitExtent
    }

    /// Number of indices along the fused dimension; nil if a number is invalid.
    var extent: Int? {
        let (extent, isHuge) = units.multipliedReportingOverflow(by: unitExtent)
        return units >= 1 && unitExtent >= 0 && !isHuge ? extent : nil
    }

    /// Returns the units of one part. If there are fewer units than parts, neighbouring parts share
    /// a unit: they are replicas.
    func part(_ index: Int, of count: Int) throws(ShardingError) -> Range<Int> {
        guard units < count else { return try SplitRule.balanced.part(index, of: count, in: units) }
        let unit = index * units / count
        return unit..<unit + 1
    }
}
