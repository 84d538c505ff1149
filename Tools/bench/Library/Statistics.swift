internal import CheckpointFormat

/// Median and range of samples. All figures are 0 if there are no samples.
package struct Spread: Sendable, Equatable {
    package let median: Double
    package let min: Double
    package let max: Double
    /// Number of samples.
    package let n: Int

    /// Computes median and range.
    ///
    /// - Parameter samples: the samples, in any order.
    package init(_ samples: [Double]) {
        let sorted = samples.sorted()
        median = Self.median(sorted)
        min = sorted.first ?? 0
        max = sorted.last ?? 0
        n = sorted.count
    }

    /// Returns the middle sample, or the mean of the two middle samples.
    private static func median(_ sorted: [Double]) -> Double {
        guard !sorted.isEmpty else { return 0 }
        return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }

    /// Returns the nearest-rank percentile: the smallest sample that at least a fraction of the
    /// samples do not exceed.
    ///
    /// - Parameters:
    ///   - fraction: the fraction, from 0 to 1.
    ///   - samples: the samples, in any order.
    /// - Returns: one of the samples; 0 if there are none.
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
