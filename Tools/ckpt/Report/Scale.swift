import Foundation

/// Positions of values along an axis: pure.
struct Scale {
    let domain: ClosedRange<Double>
    /// In the units of the picture; may run backwards.
    let start: Double
    let end: Double
    let isLogarithmic: Bool

    /// - Parameter values: those that are not finite, or not positive on a logarithmic scale, are skipped.
    init(_ values: [Double], from start: Double, to end: Double, isLogarithmic: Bool = false, isFromZero: Bool = false) {
        self.isLogarithmic = isLogarithmic
        (self.start, self.end) = (start, end)
        let usable = values.filter { $0.isFinite && (!isLogarithmic || $0 > 0) }.map { isLogarithmic ? log10($0) : $0 }
        var (low, high) = (usable.min() ?? 0, usable.max() ?? 1)
        if isFromZero { (low, high) = (min(low, 0), max(high, 0)) }
        // A single value has no extent.
        if high - low <= abs(high) * 1e-12 { (low, high) = (low - max(abs(low) * 0.05, 0.5), high + max(abs(high) * 0.05, 0.5)) }
        domain = low...high
    }

    /// Nil if the value is not on the axis.
    func place(_ value: Double) -> Double? {
        guard value.isFinite, !isLogarithmic || value > 0 else { return nil }
        let position = isLogarithmic ? log10(value) : value
        return start + (position - domain.lowerBound) / (domain.upperBound - domain.lowerBound) * (end - start)
    }

    /// Round values along the axis, about as many as requested.
    func ticks(_ count: Int) -> [Double] {
        isLogarithmic ? logarithmicTicks(count) : Self.roundValues(in: domain, count)
    }

    private func logarithmicTicks(_ count: Int) -> [Double] {
        let exponents = Self.roundValues(in: domain, count).filter { $0 == $0.rounded() }
        if exponents.count >= 2 { return exponents.map { pow(10, $0) } }
        return Self.roundValues(in: pow(10, domain.lowerBound)...pow(10, domain.upperBound), count).filter { $0 > 0 }
    }

    private static func roundValues(in range: ClosedRange<Double>, _ count: Int) -> [Double] {
        let rough = (range.upperBound - range.lowerBound) / Double(max(count, 1))
        let unit = pow(10, floor(log10(rough)))
        let step = [1.0, 2, 5, 10].first { $0 * unit >= rough }.map { $0 * unit } ?? rough
        var ticks: [Double] = []
        var index = (range.lowerBound / step).rounded(.up)
        while index * step <= range.upperBound + step * 1e-9, ticks.count <= 3 * count {
            ticks.append(index == 0 ? 0 : index * step)
            index += 1
        }
        return ticks
    }
}
