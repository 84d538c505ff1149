/// Histograms of a tensor's elements at several steps, as outlines over one axis.
struct HistogramChart {
    var tensor: String
    var range: ClosedRange<Double>
    var series: [(step: Int, counts: [Int])]

    private static let (width, height) = (720.0, 200.0)
    private static let (left, right, top, bottom) = (76.0, 16.0, 28.0, 34.0)

    var html: HTML {
        let most = Double(series.flatMap(\.counts).max() ?? 1)
        let (floor, edge) = (Self.height - Self.bottom, Self.width - Self.right)
        let y = Scale([0, max(most, 1)], from: floor, to: Self.top)
        let x = Scale([range.lowerBound, range.upperBound], from: Self.left, to: edge)
        let ticks = x.ticks(6).compactMap { tick in x.place(tick).map { Figure.text(Output.figure(tick), $0, floor + 16, "middle") } }
        let rows = y.ticks(4).compactMap { tick in y.place(tick).map { (tick, $0) } }.flatMap { tick, place in
            [Figure.line(Self.left, place, edge, place, "grid"), Figure.text(Output.figure(tick), Self.left - 8, place + 4, "end")]
        }
        let lines = series.enumerated().map { index, entry in outline(entry, index, y) }
        return Figure.html(
            title: HTML.short(tensor, 80),
            caption: "Finite elements in \(series.first?.counts.count ?? 0) bins of equal width, at \(steps).",
            width: Self.width, height: Self.height,
            rows + ticks + [Figure.line(Self.left, floor, edge, floor, "axis"), Figure.text("elements", Self.left - 8, 14, "end")] + lines,
            legend: series.enumerated().map { ("s\($0.offset)", "step \($0.element.step)") }, table: table)
    }

    private var steps: String { series.map { "step \($0.step)" }.joined(separator: ", ") }

    private func outline(_ entry: (step: Int, counts: [Int]), _ color: Int, _ y: Scale) -> HTML {
        let width = (Self.width - Self.left - Self.right) / Double(max(entry.counts.count, 1))
        let points = entry.counts.enumerated().flatMap { index, count -> [String] in
            let place = Figure.number(y.place(Double(count)) ?? 0)
            let (start, end) = (Self.left + Double(index) * width, Self.left + Double(index + 1) * width)
            return ["\(Figure.number(start)),\(place)", "\(Figure.number(end)),\(place)"]
        }
        return .tag(
            "polyline", ["class": "line s\(color)", "points": points.joined(separator: " ")], [.tag("title", [:], "step \(entry.step)")])
    }

    private var table: Figure.Table {
        let bins = series.first?.counts.count ?? 0
        let width = (range.upperBound / Double(max(bins, 1)) - range.lowerBound / Double(max(bins, 1)))
        return Figure.Table(
            head: ["from"] + series.map { "step \($0.step)" },
            rows: (0..<bins).map { bin in
                [Output.figure(range.lowerBound + Double(bin) * width)] + series.map { String($0.counts[bin]) }
            })
    }
}
