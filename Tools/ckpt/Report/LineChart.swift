import Foundation

/// Lines over steps, with axes, a legend and a table of the same numbers.
struct LineChart {
    struct Series {
        var name: String
        var points: [(x: Double, y: Double)]
        /// Nil: one of many lines, without its own color.
        var color: Int?
    }

    var title: String
    /// Description of the chart, in a sentence or two.
    var caption: String
    var unit: String
    var series: [Series]
    var isLogarithmic = false
    var isFromZero = false
    var figure: (Double) -> String = { Output.figure($0) }

    private static let (width, height) = (720.0, 280.0)
    private static let (left, right, top, bottom) = (76.0, 16.0, 28.0, 40.0)

    private var points: [(x: Double, y: Double)] { series.flatMap(\.points) }
    private var x: Scale { Scale(points.map(\.x), from: Self.left, to: Self.width - Self.right) }
    private var y: Scale {
        Scale(
            points.map(\.y), from: Self.height - Self.bottom, to: Self.top, isLogarithmic: isLogarithmic, isFromZero: isFromZero)
    }

    var html: HTML {
        let (x, y) = (x, y)
        // Lines without color are drawn behind the others.
        let lines = (series.filter { $0.color == nil } + series.filter { $0.color != nil }).map { Self.line($0, x, y, figure) }
        return Figure.html(
            title: title, caption: caption, width: Self.width, height: Self.height, [axes(x, y), .group(lines)], legend: legend,
            table: table)
    }

    private func axes(_ x: Scale, _ y: Scale) -> HTML {
        let (floor, edge) = (Self.height - Self.bottom, Self.width - Self.right)
        let rows = y.ticks(5).compactMap { tick in y.place(tick).map { (tick, $0) } }.flatMap { tick, place -> [HTML] in
            [
                Figure.line(Self.left, place, edge, place, "grid"),
                Figure.text(figure(tick), Self.left - 8, place + 4, "end"),
            ]
        }
        let columns = x.ticks(8).filter { $0 == $0.rounded() }.compactMap { tick in x.place(tick).map { (tick, $0) } }
            .flatMap { tick, place -> [HTML] in
                [
                    Figure.line(place, floor, place, floor + 4, "axis"),
                    Figure.text(String(Int(exactly: tick) ?? 0), place, floor + 17, "middle"),
                ]
            }
        return .group(
            rows + columns + [
                Figure.line(Self.left, floor, edge, floor, "axis"),
                Figure.text("step", (Self.left + edge) / 2, Self.height - 6, "middle"),
                Figure.text(unit, Self.left - 8, 14, "end"),
            ])
    }

    private static func line(_ series: Series, _ x: Scale, _ y: Scale, _ figure: (Double) -> String) -> HTML {
        let places = series.points.compactMap { point -> (Double, Double, String)? in
            guard let px = x.place(point.x), let py = y.place(point.y) else { return nil }
            return (px, py, "\(HTML.short(series.name)), step \(Int(exactly: point.x) ?? 0): \(figure(point.y))")
        }
        let style = series.color.map { "s\($0)" } ?? "many"
        let path = places.map { Figure.number($0.0) + "," + Figure.number($0.1) }.joined(separator: " ")
        let dots = places.map { place in
            HTML.tag(
                "circle", ["class": "dot \(style)", "cx": Figure.number(place.0), "cy": Figure.number(place.1), "r": "2.5"],
                [.tag("title", [:], place.2)])
        }
        let isBare = series.color == nil
        let line = HTML.tag("polyline", ["class": "line \(style)", "points": path], [.tag("title", [:], series.name)])
        return .group([line] + (isBare ? [] : dots))
    }

    private var legend: [(style: String, name: String)] {
        let colored = series.compactMap { series in series.color.map { (style: "s\($0)", name: series.name) } }
        let rest = series.count - colored.count
        if rest > 0 { return colored + [("many", "\(rest) more")] }
        return colored.count > 1 ? colored : []
    }

    /// A row for every step, a column for every line.
    private var table: Figure.Table {
        let steps = Set(points.map(\.x)).sorted()
        let columns = series.map { series in Dictionary(series.points.map { ($0.x, $0.y) }, uniquingKeysWith: { _, last in last }) }
        return Figure.Table(
            head: ["step"] + series.map(\.name),
            rows: steps.map { step in
                [String(Int(exactly: step) ?? 0)] + columns.map { $0[step].map(figure) ?? "" }
            })
    }
}
