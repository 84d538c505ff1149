/// The widths of a table's columns. Pure.
struct TableLayout: Equatable {
    /// Number of blanks between two columns.
    static let gap = 2

    /// Width of each column; nil: it is left out.
    private(set) var widths: [Int?]

    /// Fits columns into a line: columns without content are left out first; then long texts are
    /// shortened, the longest most; then columns are left out, that of the highest rank first.
    ///
    /// - Parameters:
    ///   - columns: the columns.
    ///   - natural: the width of the longest text of each, its title included.
    ///   - empty: columns that have no content in any row.
    ///   - available: number of characters in a line; nil: as many as needed.
    init(_ columns: [Column], natural: [Int], empty: Set<Int> = [], available: Int?) {
        widths = natural
        guard let available, !fits(available) else { return }
        for column in empty { widths[column] = nil }
        while !fits(available) {
            shorten(columns, to: available)
            if fits(available) { return }
            let ranked = columns.indices.filter { widths[$0] != nil && columns[$0].rank != nil }
            guard
                let last = ranked.max(by: {
                    (columns[$0].rank ?? 0, $0) < (columns[$1].rank ?? 0, $1)
                })
            else { return }
            // Columns that were shortened before another column was removed may become longer again.
            widths = widths.indices.map { widths[$0] == nil || $0 == last ? nil : natural[$0] }
        }
    }

    private var total: Int {
        let shown = widths.compactMap { $0 }
        return shown.reduce(0, +) + max(shown.count - 1, 0) * Self.gap
    }

    private func fits(_ available: Int) -> Bool { total <= available }

    private mutating func shorten(_ columns: [Column], to available: Int) {
        while total > available {
            let candidates = columns.indices.filter { index in
                guard let width = widths[index], let shortest = columns[index].shortest else {
                    return false
                }
                return width > max(shortest, columns[index].title.count)
            }
            guard let widest = candidates.max(by: { (widths[$0] ?? 0) < (widths[$1] ?? 0) }) else {
                return
            }
            widths[widest]? -= 1
        }
    }
}
