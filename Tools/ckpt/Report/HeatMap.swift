import Foundation

/// Layers by steps: a magnitude, from dark to bright on a logarithmic scale.
struct HeatMap {
    var title: String
    var caption: String
    var rows: [String]
    var columns: [Int]
    /// By row and column; nil where there is none.
    var values: [[Double?]]

    private static let (label, width, right, rowHeight) = (240.0, 720.0, 10.0, 18.0)

    var html: HTML {
        let present = values.joined().compactMap { $0 }
        let scale = Scale(present, from: 0, to: 1, isLogarithmic: true)
        let height = Double(rows.count) * Self.rowHeight + 64
        return Figure.html(
            title: title, caption: caption, width: Self.width, height: height,
            [.group(cells(scale)), .group(labels), key(scale, present, height)], table: table)
    }

    private var cellWidth: Double { (Self.width - Self.label - Self.right) / Double(max(columns.count, 1)) }

    private func cells(_ scale: Scale) -> [HTML] {
        rows.indices.flatMap { row in
            columns.indices.map { column -> HTML in
                let value = values[row][column]
                let place = value.flatMap { scale.place($0) }
                let text = value.map { Output.figure($0) } ?? "no value"
                return .tag(
                    "rect",
                    [
                        "x": Figure.number(Self.label + Double(column) * cellWidth), "y": Figure.number(Double(row) * Self.rowHeight),
                        "width": Figure.number(cellWidth + 0.3), "height": Figure.number(Self.rowHeight - 1),
                        "fill": place.map(Self.color) ?? "none", "class": place == nil ? "none" : "cell",
                    ], [.tag("title", [:], "\(HTML.short(rows[row])), step \(columns[column]): \(text)")])
            }
        }
    }

    private var labels: [HTML] {
        let names = rows.enumerated().map { row, name in
            Figure.text(HTML.short(name, 36), Self.label - 8, Double(row) * Self.rowHeight + 13, "end", style: "name")
        }
        let base = Double(rows.count) * Self.rowHeight
        // As many steps as have room for five digits.
        let every = max(Int((44 / cellWidth).rounded(.up)), 1)
        let steps = columns.indices.filter { $0 % every == 0 }.map { column in
            Figure.text(String(columns[column]), Self.label + (Double(column) + 0.5) * cellWidth, base + 14, "middle")
        }
        return names + steps + [Figure.text("step", Self.label - 8, base + 14, "end")]
    }

    private func key(_ scale: Scale, _ present: [Double], _ height: Double) -> HTML {
        let (start, extent, y) = (Self.label + 70, 200.0, height - 22)
        let swatches = (0..<40).map { index in
            HTML.tag(
                "rect",
                [
                    "x": Figure.number(start + Double(index) * extent / 40), "y": Figure.number(y),
                    "width": Figure.number(extent / 40 + 0.3), "height": "12", "fill": Self.color(Double(index) / 39),
                ])
        }
        let positive = present.filter { $0 > 0 && $0.isFinite }
        let (low, high) = (positive.min().map { Output.figure($0) } ?? "-", positive.max().map { Output.figure($0) } ?? "-")
        return .group(swatches + [Figure.text(low, start - 8, y + 10, "end"), Figure.text(high, start + extent + 8, y + 10, "start")])
    }

    /// Dark blue over red to light yellow, with even steps in lightness: readable on white and on black, and without color.
    private static func color(_ place: Double) -> String {
        let stops: [(Double, Double, Double)] = [(32, 32, 110), (110, 30, 130), (190, 55, 85), (235, 120, 40), (250, 220, 110)]
        let position = min(max(place, 0), 1) * Double(stops.count - 1)
        let index = min(Int(position), stops.count - 2)
        let part = position - Double(index)
        func mix(_ component: KeyPath<(Double, Double, Double), Double>) -> String {
            let value = stops[index][keyPath: component] * (1 - part) + stops[index + 1][keyPath: component] * part
            return String(Int(value.rounded()))
        }
        return "rgb(\(mix(\.0)),\(mix(\.1)),\(mix(\.2)))"
    }

    private var table: Figure.Table {
        Figure.Table(
            head: ["layer"] + columns.map { "step \($0)" },
            rows: rows.indices.map { row in [rows[row]] + values[row].map { $0.map { Output.figure($0) } ?? "" } })
    }
}
