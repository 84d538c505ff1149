import Foundation

/// The common parts of all charts of a report: a title, a description for screen readers, and the data as a table.
enum Figure {
    struct Table {
        var head: [String]
        var rows: [[String]]
    }

    static func html(
        title: String, caption: String, width: Double, height: Double, _ content: [HTML],
        legend: [(style: String, name: String)] = [], table: Table
    ) -> HTML {
        let picture = HTML.tag(
            "svg",
            [
                "viewBox": "0 0 \(number(width)) \(number(height))", "role": "img", "aria-label": "\(title). \(caption)",
                "style": "min-width: \(number(min(width, 440)))px",
            ], content)
        let keys = legend.map { entry in
            HTML.tag(
                "li", [:],
                [
                    .tag(
                        "svg", ["viewBox": "0 0 24 10", "class": "key", "aria-hidden": "true"],
                        [line(0, 5, 24, 5, "line \(entry.style)")]),
                    .text(HTML.short(entry.name)),
                ])
        }
        return .tag(
            "figure", [:],
            [
                .tag("h3", [:], title), .tag("div", ["class": "picture", "tabindex": "0"], [picture]),
                keys.isEmpty ? .group([]) : .tag("ul", ["class": "legend"], keys), .tag("figcaption", [:], caption),
                details(table),
            ])
    }

    static func details(_ table: Table) -> HTML {
        .tag(
            "details", [:],
            [.tag("summary", [:], "Show data"), .tag("div", ["class": "picture", "tabindex": "0"], [self.table(table)])])
    }

    static func table(_ table: Table) -> HTML {
        func row(_ cells: [String], _ tag: String, first: String) -> HTML {
            .tag("tr", [:], cells.enumerated().map { index, cell in
                let scope: KeyValuePairs = index == 0 || tag == "th" ? ["scope": tag == "th" ? "col" : "row"] : [:]
                return .tag(index == 0 ? first : tag, scope, HTML.short(cell, 120))
            })
        }
        return .tag(
            "table", [:],
            [
                .tag("thead", [:], [row(table.head, "th", first: "th")]),
                .tag("tbody", [:], table.rows.map { row($0, "td", first: "th") }),
            ])
    }

    static func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ style: String) -> HTML {
        .tag("line", ["class": style, "x1": number(x1), "y1": number(y1), "x2": number(x2), "y2": number(y2)])
    }

    static func text(_ text: String, _ x: Double, _ y: Double, _ anchor: String, style: String = "mark") -> HTML {
        .tag("text", ["class": style, "x": number(x), "y": number(y), "text-anchor": anchor], text)
    }

    static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e9 ? String(Int(value)) : String(format: "%.2f", value)
    }
}
