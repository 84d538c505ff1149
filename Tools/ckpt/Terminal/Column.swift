/// A column of a table, and its treatment if the terminal is too narrow.
struct Column: ExpressibleByStringLiteral {
    let title: String
    /// Columns of the highest rank are left out first; nil: never left out.
    let rank: Int?
    /// The width to which longer texts may be shortened; nil: never shortened.
    let shortest: Int?
    /// True if texts are shortened by whole words, as where a part of a number would mislead.
    let keepsWords: Bool

    init(_ title: String, rank: Int? = nil, shortest: Int? = nil, keepsWords: Bool = false) {
        (self.title, self.rank) = (title, rank)
        (self.shortest, self.keepsWords) = (shortest, keepsWords)
    }

    init(stringLiteral title: String) { self.init(title) }
}
