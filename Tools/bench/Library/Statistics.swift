internal import CheckpointFormat

/// Where samples lie. Of no samples, all figures are 0.
package struct Spread: Sendable, Equatable {
    package let median: Double
    package let min: Double
    package let max: Double
    /// Number of samples.
    package let n: Int

    package init(_ samples: [Double]) {
        let sorted = samples.sorted()
        median = Self.median(sorted)
        min = sorted.first ?? 0
        max = sorted.last ?? 0
        n = sorted.count
    }

    /// The middle sample, or the mean of the middle two.
    private static func median(_ sorted: [Double]) -> Double {
        guard !sorted.isEmpty else { return 0 }
        return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }

    /// The smallest sample that at least `fraction` of the samples do not exceed (nearest rank); 0 of no samples.
    package static func percentile(_ fraction: Double, of samples: [Double]) -> Double {
        precondition((0...1).contains(fraction))
        guard !samples.isEmpty else { return 0 }
        let rank = Int((fraction * Double(samples.count)).rounded(.up))
        return samples.sorted()[Swift.max(rank, 1) - 1]
    }

    var json: JSONValue {
        .object([
            .init("median", .metric(median)), .init("min", .metric(min)), .init("max", .metric(max)), .init("n", .count(n)),
        ])
    }
}

extension Duration {
    var seconds: Double { self / .seconds(1) }
}
