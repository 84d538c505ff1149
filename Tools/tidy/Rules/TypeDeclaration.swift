/// A declaration of a type, or an extension of one.
struct TypeDeclaration: Equatable {
    /// `struct`, `class`, `enum`, `actor`, `protocol`, `typealias` or `extension`.
    let keyword: String
    /// The name; that of an extension may contain dots.
    let name: String
    /// The line, from 1.
    let line: Int
    /// Whether it starts in the first column.
    let isTopLevel: Bool
    /// Whether other files cannot see it.
    let isPrivate: Bool
    /// Whether other targets can see it.
    let isShared: Bool

    private static let keywords: Set<String> = [
        "struct", "class", "enum", "actor", "protocol", "typealias", "extension",
    ]

    /// Every declaration in the code of a file that starts a line.
    static func all(in lines: Lines) -> [TypeDeclaration] {
        lines.code.indices.compactMap { TypeDeclaration(lines.code[$0], line: $0 + 1) }
    }

    private init?(_ code: String, line: Int) {
        let all = words(code)
        let start = all.firstIndex { !isBeforeDeclaration($0) } ?? all.endIndex
        guard start + 1 < all.count, Self.keywords.contains(all[start].text),
            all[start].after == " "
        else { return nil }
        // `class func` declares a member.
        let members: Set<String> = ["func", "var", "let", "subscript"]
        guard !members.contains(all[start + 1].text) else { return nil }
        let rest = all[(start + 2)...].prefix { $0.before == "." }
        keyword = all[start].text
        name = ([all[start + 1]] + rest).map(\.text).joined(separator: ".")
        self.line = line
        isTopLevel = code.first.map { !$0.isWhitespace } ?? false
        let access = Set(all[..<start].map(\.text))
        isPrivate = !access.isDisjoint(with: ["private", "fileprivate"])
        isShared = !access.isDisjoint(with: ["public", "open", "package"])
    }
}

/// Whether a word is a modifier of a declaration, or part of an attribute.
private func isBeforeDeclaration(_ word: Word) -> Bool {
    let modifiers: Set<String> = [
        "public", "package", "internal", "fileprivate", "private", "open", "final", "indirect",
        "nonisolated",
        "unsafe", "distributed",
    ]
    return modifiers.contains(word.text) || word.before == "@" || isArgument(word)
}
