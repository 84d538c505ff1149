/// Choice of the best checkpoint by a metric. Pure.
package struct Best {
    package let metric: String
    package let isLargest: Bool

    /// Chooses the best of `values`; NaN is never best.
    ///
    /// - Parameter values: names and values, newest first: of equal values the newest is chosen.
    /// - Returns: the best; nil if all values are NaN or there are none.
    package func choose<Name>(_ values: [(name: Name, value: Double)]) -> (name: Name, value: Double)? {
        values.reduce(nil) { best, next in
            guard !next.value.isNaN else { return best }
            guard let best else { return next }
            return (isLargest ? next.value > best.value : next.value < best.value) ? next : best
        }
    }
}
