/// Which checkpoint a metric calls best: pure.
package struct Best {
    package let metric: String
    package let isLargest: Bool

    /// - Parameter values: newest first, so that of equals the newest is chosen; NaN is never best.
    package func choose<Name>(_ values: [(name: Name, value: Double)]) -> (name: Name, value: Double)? {
        values.reduce(nil) { best, next in
            guard !next.value.isNaN else { return best }
            guard let best else { return next }
            return (isLargest ? next.value > best.value : next.value < best.value) ? next : best
        }
    }
}
