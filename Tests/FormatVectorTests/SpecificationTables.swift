import Testing

/// A table of the specification, found by the comment before it: `<!-- table: Name -->`.
struct SpecificationTable {
    var name: String
    var columns: [String]
    var rows: [[String]]

    init(_ name: String, in file: String) throws {
        self.name = name
        let lines = try text(of: file).split(separator: "\n", omittingEmptySubsequences: false)
        let marker = try #require(lines.firstIndex { $0 == "<!-- table: \(name) -->" }, "no table \(name) in \(file)")
        let table = lines[(marker + 1)...].prefix { $0.hasPrefix("|") }.map(Self.cells)
        try #require(table.count > 2, "table \(name) is empty")
        columns = table[0]
        rows = Array(table[2...])
        for row in rows { try #require(row.count == columns.count, "table \(name): \(row)") }
    }

    private static func cells(_ line: Substring) -> [String] {
        line.dropFirst().dropLast().split(separator: "|", omittingEmptySubsequences: false).map { cell in
            String(cell.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }
    }

    /// One column, without the backquotes of code.
    func column(_ column: String) throws -> [String] {
        let index = try #require(columns.firstIndex(of: column), "table \(name) has no column \(column)")
        return rows.map { $0[index].filter { $0 != "`" } }
    }

    func numbers(_ column: String) throws -> [Int] {
        try self.column(column).map { try #require(Int($0), "table \(name): \($0) is no number") }
    }
}

/// A field of a structure on disk, as the specification places it.
struct SpecifiedField: Equatable {
    var name: String
    var offset: Int
    var size: Int
    var type: String
}

extension SpecificationTable {
    /// The rows of a table of fields.
    func fields() throws -> [SpecifiedField] {
        let (names, types) = (try column("Field"), try column("Type"))
        let (offsets, sizes) = (try numbers("Offset"), try numbers("Size"))
        return rows.indices.map {
            SpecifiedField(name: names[$0], offset: offsets[$0], size: sizes[$0], type: types[$0])
        }
    }
}
