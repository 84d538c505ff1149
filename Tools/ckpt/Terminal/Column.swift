/// A column of a table, and its treatment if the terminal is too narrow.
struct Column: ExpressibleByStringLiteral {
    let title: String
    /// Columns of the highest rank are left out first; nil: never left out.
    let rank: Int?
    /// The width to which longer texts may be shortened; nil: never shortened.
    let shortest: Int?

    init(_ title: String, rank: Int? = nil, shortest: Int? = nil) {
        (self.title, self.rank, self.shortest) = (title, rank, shortest)
    }

    init(stringLiteral title: String) { self.init(title) }
}
