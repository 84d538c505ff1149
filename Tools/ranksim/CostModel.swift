/// The time to publish as a line over the number of shards, fitted by least squares of the relative
/// error. The parts of one model have about the same size for any number of ranks: they are in the
/// constant.
struct CostModel {
    /// One simulated save.
    struct Sample {
        var shards: Double
        var seconds: Double
    }

    /// The time without shards, and that of one.
    let constant: Double
    let perShard: Double

    /// Fits the line.
    ///
    /// - Parameter samples: simulated saves of one model.
    /// - Returns: nil if the samples have fewer than two numbers of shards.
    init?(_ samples: [Sample]) {
        let weights = samples.map { 1 / max($0.seconds * $0.seconds, 1e-12) }
        func sum(_ term: (Sample) -> Double) -> Double {
            zip(samples, weights).reduce(0) { $0 + $1.1 * term($1.0) }
        }
        let (n, x, y) = (sum { _ in 1 }, sum(\.shards), sum(\.seconds))
        let (xx, xy) = (sum { $0.shards * $0.shards }, sum { $0.shards * $0.seconds })
        let determinant = n * xx - x * x
        guard determinant > 1e-9 * n * xx else { return nil }
        perShard = (n * xy - x * y) / determinant
        constant = (y - perShard * x) / n
    }

    /// Predicts the time to publish, in seconds.
    func seconds(shards: Double) -> Double { constant + perShard * shards }
}
