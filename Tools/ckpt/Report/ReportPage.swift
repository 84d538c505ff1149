internal import CheckpointMaintenance
import Checkpointing
import Foundation

/// The page of a report: one file that loads nothing from the network.
struct ReportPage {
    let data: ReportData
    private static let colors = 8
    /// Maximum number of ranks in one chart.
    private static let ranksMax = 64

    var text: String {
        var page = "<!DOCTYPE html>\n"
        HTML.tag("html", ["lang": "en"], [head, .tag("body", [:], [.tag("main", [:], sections)])])
            .write(to: &page)
        return page + "\n"
    }

    private var head: HTML {
        .tag(
            "head", [:],
            [
                .tag("meta", ["charset": "utf-8"]),
                .tag(
                    "meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"]),
                // The browser refuses every request of the page.
                .tag(
                    "meta",
                    [
                        "http-equiv": "Content-Security-Policy",
                        "content": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
                    ]),
                .tag("title", [:], "Checkpoints of \(HTML.short(data.path, 80))"),
                .tag("style", [:], [.own(ReportStyle.sheet)]),
            ])
    }

    private var sections: [HTML] {
        [
            .tag("h1", [:], "Checkpoints of \(HTML.short(data.path, 120))"),
            .tag("p", [:], "Store \(data.store). Written by \(LibraryVersion.writer)."), overview,
            damage,
            section("Checkpoints over time", metrics + [sizes, ratios]),
            section("Training time blocked by saves", [stalls, stallsByRank]),
            section(
                "Runs and branches", [data.checkpoints.isEmpty ? nothing : LineageGraph(data).html]),
            section("How the model changed", evolution),
            section("Histograms", histograms), section("All checkpoints", [list]),
            .tag(
                "script", ["type": "application/json", "id": "report-data"],
                [.embedded(Output.encoded(data.json))]),
        ]
    }

    private func section(_ title: String, _ content: [HTML]) -> HTML {
        .tag("section", [:], [.tag("h2", [:], title)] + content)
    }

    private var nothing: HTML { .tag("p", [:], "The store contains no checkpoints.") }

    private var overview: HTML {
        let checkpoints = data.checkpoints
        let (bytes, stored) = checkpoints.reduce((0, 0)) {
            ($0.0 + $1.logicalBytes, $0.1 + $1.contentBytes)
        }
        let steps = checkpoints.map(\.step)
        let facts = [
            ("Checkpoints", String(checkpoints.count)), ("Runs", String(data.runs.count)),
            ("Steps", steps.min().map { "\($0) to \(steps.max() ?? $0)" } ?? "-"),
            ("Saved", span(checkpoints.map(\.created))),
            ("Logical size", Output.size(bytes)),
            ("Stored size", Output.size(stored)),
            ("Compression ratio", Output.ratio(bytes, stored)),
        ]
        let list = HTML.tag(
            "dl", [:],
            facts.map { name, value in
                .tag("div", [:], [.tag("dt", [:], name), .tag("dd", [:], value)])
            })
        let note = "Stored size counts a block once for each checkpoint that uses it."
        return .group([list, .tag("p", [:], note)])
    }

    private func span(_ dates: [Date]) -> String {
        guard let first = dates.min(), let last = dates.max() else { return "-" }
        return "\(Output.time(first)) to \(Output.time(last))"
    }

    private var damage: HTML {
        guard !data.damaged.isEmpty else { return .group([]) }
        let lines = data.damaged.prefix(20).map {
            HTML.tag("li", [:], HTML.short($0.description, 400))
        }
        return .tag(
            "div", ["class": "damage", "role": "alert"],
            [
                .tag(
                    "p", [:],
                    "This report omits \(Output.count(data.damaged.count, "damaged checkpoint")):"
                ),
                .tag("ul", [:], lines),
            ])
    }

    // MARK: Over time

    /// A line for every run and branch that has the value somewhere. A branch begins at the checkpoint that it was resumed from.
    private func series(_ value: (CheckpointSummary) -> Double?) -> [LineChart.Series] {
        let byID = Dictionary(
            data.checkpoints.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        return data.runs.enumerated().compactMap { index, run in
            let start = run.checkpoints.first?.parent.flatMap { byID[$0] }
            let points = ((start.map { [$0] } ?? []) + run.checkpoints).compactMap { summary in
                value(summary).map { (x: Double(summary.step), y: $0) }
            }
            let name =
                run.name.isEmpty
                ? Output.short(run.id) : "\(HTML.short(run.name, 40)) (\(Output.short(run.id)))"
            // The newest runs have colors.
            let place = data.runs.count - 1 - index
            return points.isEmpty
                ? nil
                : LineChart.Series(
                    name: name, points: points, color: place < Self.colors ? place : nil)
        }
    }

    private var metrics: [HTML] {
        if data.checkpoints.isEmpty { return [nothing] }
        let names = data.metricNames
        if names.isEmpty { return [.tag("p", [:], "No metrics were saved.")] }
        let charts = names.prefix(12).map { name in
            LineChart(
                title: HTML.short(name),
                caption: "The metric \(HTML.short(name)) of each checkpoint, one line per run.",
                unit: HTML.short(name, 30), series: series { $0.metrics[name] }
            ).html
        }
        return charts
            + (names.count > 12
                ? [
                    .tag(
                        "p", [:],
                        "The JSON data of this page has "
                            + "\(Output.count(names.count - 12, "more metric")).")
                ]
                : [])
    }

    private var sizes: HTML {
        let all = data.checkpoints.sorted { ($0.run, $0.step) < ($1.run, $1.step) }
        guard !all.isEmpty else { return .group([]) }
        let (name, unit) = Self.unit(all.map { max($0.logicalBytes, $0.contentBytes) }.max() ?? 0)
        guard data.runs.count == 1 else {
            return LineChart(
                title: "Stored size",
                caption:
                    "Bytes of the blocks of each checkpoint, one line per run; checkpoints share blocks.",
                unit: name, series: series { Double($0.contentBytes) / unit }, isFromZero: true
            ).html
        }
        let content = LineChart.Series(
            name: "logical size", points: all.map { (Double($0.step), Double($0.logicalBytes) / unit) },
            color: 0)
        let stored = LineChart.Series(
            name: "stored size",
            points: all.map { (Double($0.step), Double($0.contentBytes) / unit) }, color: 1)
        return LineChart(
            title: "Size",
            caption:
                "Logical size: bytes of tensors and objects of each checkpoint. Stored size: bytes of their blocks; "
                + "checkpoints share blocks.",
            unit: name, series: [content, stored], isFromZero: true
        ).html
    }

    /// The largest binary unit that is at most `bytes`.
    private static func unit(_ bytes: Int) -> (name: String, bytes: Double) {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB"].enumerated().map {
            ($1, Double(1 << (10 * $0)))
        }
        return units.last { $0.1 <= Double(bytes) } ?? ("bytes", 1)
    }

    private var ratios: HTML {
        guard !data.checkpoints.isEmpty else { return .group([]) }
        return LineChart(
            title: "Compression ratio",
            caption:
                "Logical size of a checkpoint divided by its stored size.",
            unit: "ratio",
            series: series {
                $0.contentBytes > 0 ? Double($0.logicalBytes) / Double($0.contentBytes) : nil
            }
        ).html
    }

    private var stalls: HTML {
        let lines = series { $0.metrics[ReportData.stallMetric].map { $0 * 1000 } }
        guard !lines.isEmpty else {
            return .tag(
                "p", [:],
                "No data: no checkpoint has the metric \(ReportData.stallMetric). If the trainer saves this metric, "
                    + "as the reference trainer does, a chart appears here.")
        }
        return LineChart(
            title: "Stall",
            caption:
                "Training time blocked by saves since the previous checkpoint: submit, fences, and waiting for the disk.",
            unit: "ms", series: lines, isFromZero: true
        ).html
    }

    /// A line for each rank that has the metric; nothing for checkpoints of one process.
    private var stallsByRank: HTML {
        let checkpoints = data.rankStalls
        let worldSize = checkpoints.map(\.byRank.count).max() ?? 0
        let lines = (0..<worldSize).map { rank in
            checkpoints.compactMap { checkpoint -> (x: Double, y: Double)? in
                guard rank < checkpoint.byRank.count else { return nil }
                return checkpoint.byRank[rank].map {
                    (Double(checkpoint.name.step), $0 * 1000)
                }
            }
        }
        func total(_ rank: Int) -> Double { lines[rank].reduce(0) { $0 + $1.y } }
        let present = lines.indices.filter { !lines[$0].isEmpty }
        guard !present.isEmpty else { return .group([]) }
        let longest = present.sorted { (total($0), $1) > (total($1), $0) }
        let shown = longest.prefix(Self.ranksMax).sorted()
        let colored = longest.prefix(Self.colors).sorted()
        var caption = "The same, for each rank of the newest branch."
        if present.count > Self.colors {
            caption += " The \(Self.colors) ranks that were blocked longest are in color."
        }
        if present.count > Self.ranksMax {
            caption += " Of \(present.count) ranks, the \(Self.ranksMax) blocked longest are shown."
        }
        return LineChart(
            title: "Stall by rank", caption: caption, unit: "ms",
            series: shown.map { rank in
                LineChart.Series(name: "rank \(rank)", points: lines[rank], color: colored.firstIndex(of: rank))
            },
            isFromZero: true
        ).html
    }

    // MARK: Evolution

    private var evolution: [HTML] {
        let evolution = data.evolution
        guard !evolution.layers.isEmpty else {
            return [.tag("p", [:], "No checkpoint has parameters to compare.")]
        }
        let steps = evolution.checkpoints.map(\.step)
        let shown = "\(Output.count(steps.count, "checkpoint")), up to the newest"
        let heat = HeatMap(
            title: "Relative update of each layer, by step",
            caption:
                "L2 norm of the change of each layer since the previous checkpoint, divided by the layer's norm in that "
                + "checkpoint: dark is small, bright is large. The color scale is logarithmic. Parameters of \(shown).",
            rows: evolution.layers.map(\.name), columns: Array(steps.dropFirst()),
            values: evolution.layers.map { Array($0.relativeUpdates.dropFirst()) })
        let norms = chart(
            "Norm of each layer", "L2 norm of each layer's parameters.", "L2 norm", \.norms)
        let updates = chart(
            "Update of each layer",
            "L2 norm of the change of each layer's parameters since the previous checkpoint; logarithmic axis.",
            "L2 norm", \.updates, isLogarithmic: true)
        return [norms] + (steps.count > 1 ? [updates, heat.html] : [])
    }

    /// The layers that change most have colors.
    private func chart(
        _ title: String, _ caption: String, _ unit: String,
        _ values: KeyPath<ModelEvolution.Layer, [Double?]>, isLogarithmic: Bool = false
    ) -> HTML {
        let layers = data.evolution.layers
        let steps = data.evolution.checkpoints.map(\.step)
        func spread(_ layer: ModelEvolution.Layer) -> Double {
            let present = layer[keyPath: values].compactMap { $0 }
            return (present.max() ?? 0) - (present.min() ?? 0)
        }
        let ranked = layers.indices.sorted { (spread(layers[$0]), $1) > (spread(layers[$1]), $0) }
            .prefix(Self.colors).sorted()
        let series = layers.indices.map { index in
            LineChart.Series(
                name: layers[index].name,
                points: zip(steps, layers[index][keyPath: values]).compactMap { step, value in
                    value.map { (Double(step), $0) }
                },
                color: ranked.firstIndex(of: index))
        }
        let some =
            layers.count > Self.colors ? " The \(Self.colors) layers that change most are in color." : ""
        return LineChart(
            title: title, caption: caption + some, unit: unit, series: series,
            isLogarithmic: isLogarithmic
        ).html
    }

    private var histograms: [HTML] {
        if data.evolution.histograms.isEmpty {
            return [.tag("p", [:], "There are no histograms. Choose tensors with --tensor.")]
        }
        return data.evolution.histograms.map { histogram in
            HistogramChart(
                tensor: histogram.tensor, range: histogram.range,
                series: histogram.series.map {
                    (data.evolution.checkpoints[$0.checkpoint].step, $0.counts)
                }
            ).html
        }
    }

    // MARK: List

    private static let rowsMax = 2000

    private var list: HTML {
        let rows = data.checkpoints.suffix(Self.rowsMax).reversed().map { summary in
            [
                String(summary.step), Output.short(summary.id), Output.short(summary.run),
                HTML.short(summary.runName, 40),
                Output.time(summary.created),
                summary.metrics.sorted { $0.key < $1.key }.prefix(8).map {
                    "\(HTML.short($0.key, 30))=\(Output.figure($0.value))"
                }
                .joined(separator: " "),
                Output.size(summary.logicalBytes), Output.size(summary.contentBytes),
                Output.ratio(summary.logicalBytes, summary.contentBytes),
            ]
        }
        let head = ["step", "id", "run", "name", "created", "metrics", "size", "stored", "ratio"]
        let rest = data.checkpoints.count - rows.count
        return .group([
            .tag(
                "div", ["class": "picture", "tabindex": "0"],
                [Figure.table(.init(head: head, rows: rows))]),
            rest > 0
                ? .tag("p", [:], "Not shown: \(Output.count(rest, "older checkpoint")).")
                : .group([]),
        ])
    }
}
