import Checkpointing

/// The figures of one tensor in `inspect --stats`.
struct TensorFigures {
    static let bins = 32

    let statistics: TensorStatistics
    let histogram: TensorHistogram?

    /// Reads the tensor twice: its histogram needs the smallest and the largest value.
    init(_ record: TensorRecord, _ stream: TensorStream) throws {
        statistics = try stream.statistics(of: record)
        histogram = try stream.histogram(of: record, statistics, bins: Self.bins)
    }

    static let columns: [Column] = [
        .init("NAME", shortest: 16), "MIN", "MAX", .init("MEAN", rank: 3), .init("STD", rank: 4), .init("NORM", rank: 5), "NAN", "INF",
        .init("ZERO", rank: 2), .init("HISTOGRAM", rank: 6),
    ]

    func cells(_ name: String) -> [String] {
        func figure(_ value: Double?) -> String { value.map { Output.figure($0) } ?? "-" }
        let figures = statistics
        return [
            name, figure(figures.range?.lowerBound), figure(figures.range?.upperBound), figure(figures.mean), figure(figures.deviation),
            figure(figures.norm), String(figures.nans), String(figures.infinities), String(figures.zeros),
            histogram.map { Sparkline.text($0.counts) } ?? "-",
        ]
    }

    var json: JSONValue {
        func metric(_ value: Double?) -> JSONValue { value.map { .metric($0) } ?? .null }
        return .object([
            .init("elements", .count(statistics.elements)), .init("min", metric(statistics.range?.lowerBound)),
            .init("max", metric(statistics.range?.upperBound)), .init("mean", metric(statistics.mean)),
            .init("std", metric(statistics.deviation)), .init("norm", .metric(statistics.norm)),
            .init("nan", .count(statistics.nans)), .init("inf", .count(statistics.infinities)), .init("zero", .count(statistics.zeros)),
            .init("histogram", histogram.map { .counts($0.counts) } ?? .null),
        ])
    }
}

/// Counts as a row of bars, one character each.
enum Sparkline {
    private static let bars = Array("▁▂▃▄▅▆▇█")

    /// A count above 0 is never shown as 0, which is a blank.
    static func text(_ counts: [Int]) -> String {
        let most = counts.max() ?? 0
        return String(counts.map { count in
            count == 0 ? " " : bars[Int(Double(count) / Double(most) * Double(bars.count - 1))]
        })
    }
}
