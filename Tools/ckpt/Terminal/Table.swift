/// Rows in columns, as wide as the terminal at most. A row of one line is printed between the others as
/// it is.
struct Table {
    private enum Row {
        case cells([String])
        case line(String)
    }

    private let columns: [Column]
    private var rows: [Row] = []

    init(_ columns: [Column]) { self.columns = columns }

    mutating func add(_ cells: [String]) { rows.append(.cells(cells.map { Output.visible($0) })) }
    mutating func add(line: String) { rows.append(.line(line)) }

    /// Prints the table; nothing if it is empty.
    func print() {
        for line in lines(width: Terminal.width) { Output.line(line) }
    }

    /// Returns the lines of the table; none if it is empty.
    ///
    /// - Parameter width: number of characters in a line; nil: as many as needed.
    func lines(width: Int?) -> [String] {
        guard !rows.isEmpty else { return [] }
        let natural = columns.indices.map { column in
            rows.reduce(columns[column].title.count) { widest, row in
                if case .cells(let cells) = row {
                    max(widest, DisplayWidth.of(cells[column]))
                } else {
                    widest
                }
            }
        }
        let empty = Set(columns.indices.filter(isEmpty))
        let layout = TableLayout(columns, natural: natural, empty: empty, available: width)
        let heads = heads(layout, natural)
        var lines = [aligned(columns.map(\.title), layout, heads)]
        for row in rows {
            switch row {
            case .cells(let cells): lines.append(aligned(cells, layout, heads))
            case .line(let line): lines.append(line)
            }
        }
        let missing = columns.indices.filter { layout.widths[$0] == nil && !empty.contains($0) }
        let hidden = missing.map { columns[$0].title }
        if !hidden.isEmpty {
            lines.append("(terminal too narrow to show \(hidden.joined(separator: ", ")))")
        }
        return lines
    }

    /// Returns true if every row is empty in a column.
    private func isEmpty(_ column: Int) -> Bool {
        !rows.contains { row in
            guard case .cells(let cells) = row else { return false }
            return !["", "-"].contains(cells[column])
        }
    }

    /// Returns, for each shortened column, the width of what stays before the cut.
    private func heads(_ layout: TableLayout, _ natural: [Int]) -> [Int?] {
        columns.indices.map { column in
            guard let width = layout.widths[column], width < natural[column] else { return nil }
            let texts = rows.compactMap { row -> String? in
                guard case .cells(let cells) = row else { return nil }
                return cells[column]
            }
            return DisplayWidth.bestHead(texts, width: width)
        }
    }

    private func aligned(_ cells: [String], _ layout: TableLayout, _ heads: [Int?]) -> String {
        let shown = columns.indices.compactMap { column -> String? in
            guard let width = layout.widths[column] else { return nil }
            let text =
                columns[column].keepsWords
                ? DisplayWidth.words(cells[column], to: width)
                : DisplayWidth.shortened(cells[column], to: width, head: heads[column])
            return text + String(repeating: " ", count: max(width - DisplayWidth.of(text), 0))
        }
        var line = shown.joined(separator: String(repeating: " ", count: TableLayout.gap))[...]
        while line.last == " " { line.removeLast() }
        return String(line)
    }
}
