internal import CheckpointInterchange
internal import CheckpointMaintenance
import Checkpointing
import Foundation

/// Everything that a report shows, as values.
struct ReportData {
    var store: StoreID
    var path: String
    /// The oldest first.
    var checkpoints: [CheckpointSummary]
    var damaged: [CheckpointError]
    var evolution: ModelEvolution
    /// `stallMetric` by rank, of the newest branch's checkpoints that several ranks have saved, the
    /// oldest first.
    var rankStalls: [RankMetrics] = []

    /// Maximum number of ranks' parts that are read for `rankStalls`.
    static let partsMax = 20_000

    /// The metric for the time in seconds that saves blocked training since the previous checkpoint (Formats/manifest.md, JSON).
    static let stallMetric = "stall_s"

    /// Runs across their restarts, and branches of runs, in the order of their time.
    var runs: [(id: RunID, name: String, checkpoints: [CheckpointSummary])] {
        Dictionary(grouping: checkpoints, by: \.origin.branch).sorted { $0.key < $1.key }.map { run, members in
            (run, members.first?.runName ?? "", members.sorted { $0.step < $1.step })
        }
    }

    var metricNames: [String] { Set(checkpoints.flatMap { $0.metrics.keys }).subtracting([Self.stallMetric]).sorted() }

    /// The data that the page embeds: all numbers of all charts.
    var json: JSONValue {
        .object([
            .init("store", .hex(store)),
            .init("runs", .array(runs.map { run in
                .object([.init("id", .hex(run.id)), .init("name", .string(String(run.name.prefix(200))))])
            })),
            .init("checkpoints", .array(checkpoints.map(Self.json))),
            .init("damaged", .array(damaged.map { .error($0) })),
            .init("evolution", evolution.json),
            .init("histograms", .array(evolution.histograms.map(json))),
            .init("rank_stalls", .array(rankStalls.map(Self.json))),
        ])
    }

    private static func json(_ ranks: RankMetrics) -> JSONValue {
        .object([
            .init("id", .hex(ranks.id)), .init("step", .count(ranks.name.step)),
            .init("stall_s", .array(ranks.byRank.map { $0.map { .metric($0) } ?? .null })),
        ])
    }

    private static func json(_ summary: CheckpointSummary) -> JSONValue {
        .object([
            .init("id", .hex(summary.id)), .init("run", .hex(summary.origin.branch)), .init("step", .count(summary.step)),
            .init("created_ms", .count(Int(exactly: (summary.created.timeIntervalSince1970 * 1000).rounded()) ?? 0)),
            .init("parent", summary.parent.map { .hex($0) } ?? .null),
            .init("metrics", .metrics(summary.metrics.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })),
            .init("bytes", .count(summary.logicalBytes)), .init("stored_bytes", .count(summary.storedBytes)),
        ])
    }

    private func json(_ histogram: ModelEvolution.Histogram) -> JSONValue {
        .object([
            .init("tensor", .string(histogram.tensor)), .init("min", .metric(histogram.range.lowerBound)),
            .init("max", .metric(histogram.range.upperBound)),
            .init("series", .array(histogram.series.map { series in
                .object([
                    .init("id", .hex(evolution.checkpoints[series.checkpoint].id)),
                    .init("step", .count(evolution.checkpoints[series.checkpoint].step)), .init("counts", .counts(series.counts)),
                ])
            })),
        ])
    }
}

extension ModelEvolution {
    var json: JSONValue {
        func values(_ values: [Double?]) -> JSONValue { .array(values.map { $0.map { .metric($0) } ?? .null }) }
        return .object([
            .init("checkpoints", .array(checkpoints.map { .label($0.id, $0.run, $0.step) })),
            .init("layers", .array(layers.map { layer in
                .object([
                    .init("name", .string(layer.name)), .init("tensors", .strings(layer.tensors)), .init("norm", values(layer.norms)),
                    .init("update", values(layer.updates)), .init("relative_update", values(layer.relativeUpdates)),
                ])
            })),
        ])
    }
}
