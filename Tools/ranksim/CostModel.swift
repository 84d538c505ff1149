/// A linear model of one figure over the number of ranks and the size of their parts, fitted by
/// least squares.
struct CostModel {
    /// A measurement: the sizes that the figure depends on, and the figure.
    struct Sample {
        var ranks: Double
        var megabytes: Double
        var value: Double

        fileprivate var terms: [Double] { [1, ranks, megabytes] }
    }

    /// The constant, the cost of a rank, and the cost of a megabyte.
    let coefficients: [Double]

    /// Fits the model.
    ///
    /// - Parameter samples: at least as many as there are coefficients.
    /// - Returns: nil if the samples do not determine the coefficients.
    init?(_ samples: [Sample]) {
        let count = 3
        // Relative errors count, so that the small sizes matter too.
        let weights = samples.map { 1 / max($0.value * $0.value, 1e-12) }
        var rows = (0..<count).map { row in
            (0..<count).map { column in
                zip(samples, weights).reduce(0) { $0 + $1.1 * $1.0.terms[row] * $1.0.terms[column] }
            } + [zip(samples, weights).reduce(0) { $0 + $1.1 * $1.0.terms[row] * $1.0.value }]
        }
        for pivot in 0..<count {
            guard let best = (pivot..<count).max(by: { abs(rows[$0][pivot]) < abs(rows[$1][pivot]) }),
                abs(rows[best][pivot]) > 1e-12
            else { return nil }
            rows.swapAt(pivot, best)
            for row in 0..<count where row != pivot {
                let factor = rows[row][pivot] / rows[pivot][pivot]
                for column in pivot...count { rows[row][column] -= factor * rows[pivot][column] }
            }
        }
        coefficients = (0..<count).map { rows[$0][count] / rows[$0][$0] }
    }

    /// Predicts the figure.
    func value(ranks: Double, megabytes: Double) -> Double {
        coefficients[0] + coefficients[1] * ranks + coefficients[2] * megabytes
    }
}
