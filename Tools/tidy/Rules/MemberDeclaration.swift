/// A declaration of a function, a property or a case, wherever it stands.
///
/// Indentation tells what contains what, because the tree is formatted.
struct MemberDeclaration: Equatable {
    /// `func`, `var`, `let` or `case`.
    let keyword: String
    /// The name without its parameters.
    let name: String
    /// The type that an extension in the first column adds it to; nil for any other declaration,
    /// and for those that other files cannot see.
    let extended: String?

    /// Every declaration in the code of a file that starts a line.
    static func all(in lines: Lines) -> [MemberDeclaration] {
        let starts = Dictionary(
            TypeDeclaration.all(in: lines).filter(\.isTopLevel).map { ($0.line, $0) },
            uniquingKeysWith: { first, _ in first })
        var around: TypeDeclaration?
        return lines.code.indices.compactMap { index in
            if let start = starts[index + 1] { around = start }
            if lines.code[index].hasPrefix("}") { around = nil }
            return MemberDeclaration(lines.code[index], in: around)
        }
    }

    private init?(_ code: String, in around: TypeDeclaration?) {
        let all = words(code)
        guard let start = all.firstIndex(where: { Self.keywords.contains($0.text) }),
            start + 1 < all.count, all[start].before == nil || all[start].before == " "
        else { return nil }
        keyword = all[start].text
        name = all[start + 1].text
        let isHidden = all[..<start].contains {
            ($0.text == "private" || $0.text == "fileprivate") && $0.after == " "
        }
        let isMember = code.prefix { $0 == " " }.count == 4
        let isAdded = around.map { $0.keyword == "extension" && !$0.isPrivate } ?? false
        extended = isMember && isAdded && !isHidden ? around?.name : nil
    }

    private static let keywords: Set<String> = ["func", "var", "let", "case"]

    /// Returns true if a word of code uses it: a call of a function, or a property of some value.
    func isUsed(by word: Word) -> Bool {
        guard word.text == name else { return false }
        return keyword == "func" ? word.after == "(" : word.before == "." && word.after != "("
    }
}
