internal import CheckpointFormat
internal import Foundation

/// Figures, collected both as JSON and as rows of a table.
struct FigureList {
    var members: [JSONValue.Member] = []
    var rows: [[String]] = []

    mutating func add(_ name: String, _ spread: Spread) {
        members.append(.init(name, spread.json))
        rows.append(
            [name] + [spread.median, spread.min, spread.max].map(text) + [String(spread.n)])
    }

    mutating func add(_ name: String, _ value: Double) { add(name, .metric(value), text(value)) }
    mutating func add(_ name: String, _ value: Int) { add(name, .count(value), String(value)) }
    mutating func add(_ name: String, _ value: Bool) {
        add(name, .bool(value), value ? "yes" : "no")
    }

    private mutating func add(_ name: String, _ value: JSONValue, _ text: String) {
        members.append(.init(name, value))
        rows.append([name, text, "", "", ""])
    }

    /// Formats counts exactly, and measurements with four significant digits.
    private func text(_ value: Double) -> String {
        Int(exactly: value).map { "\($0)" } ?? String(format: "%.4g", value)
    }
}
