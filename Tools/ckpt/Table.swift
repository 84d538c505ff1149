/// Rows in columns. A row of one line stands between the others as it is.
struct Table {
    private enum Row {
        case cells([String])
        case line(String)
    }

    private let titles: [String]
    private var rows: [Row] = []

    init(_ titles: [String]) { self.titles = titles }

    mutating func add(_ cells: [String]) { rows.append(.cells(cells.map { Output.visible($0) })) }
    mutating func add(line: String) { rows.append(.line(line)) }

    /// Prints the table; nothing if it is empty.
    func print() {
        guard !rows.isEmpty else { return }
        let widths = titles.indices.map { column in
            rows.reduce(titles[column].count) { widest, row in
                if case .cells(let cells) = row { max(widest, cells[column].count) } else { widest }
            }
        }
        Output.line(aligned(titles, widths))
        for row in rows {
            switch row {
            case .cells(let cells): Output.line(aligned(cells, widths))
            case .line(let line): Output.line(line)
            }
        }
    }

    private func aligned(_ cells: [String], _ widths: [Int]) -> String {
        let padded = zip(cells, widths).map { cell, width in
            cell + String(repeating: " ", count: width - cell.count)
        }
        var line = padded.joined(separator: "  ")[...]
        while line.last == " " { line.removeLast() }
        return String(line)
    }
}
