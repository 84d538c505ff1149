/// Rules about the words of comments. The tree does not keep them yet, so each has a ratchet.
enum ProseRules {
    private static let folders = ["Sources/", "Tools/", "Examples/", "Tests/"]
    private static let questions: Set<String> = ["What", "Which", "Whether", "Who", "Where", "How"]
    private static let rareWords: Set<String> = ["lest", "anew", "whoever", "affair"]

    /// Rule: the summary of a type says what the type is; a summary that starts like a question
    /// leaves that open.
    @Sendable static func summary(_ path: String, _ lines: Lines) -> [Violation] {
        guard isSwift(path, in: folders) else { return [] }
        return TypeDeclaration.all(in: lines).compactMap { type in
            guard type.keyword != "extension", type.keyword != "typealias" else { return nil }
            guard let index = summaryLine(above: type.line - 1, lines) else { return nil }
            guard let first = words(lines.raw[index]).first?.text, questions.contains(first) else {
                return nil
            }
            return Violation(
                path: path, line: index + 1, rule: "summary",
                message:
                    "the summary of \(type.name) starts with \(first); say what the type is or does"
            )
        }
    }

    /// Rule: comments are written in words that every reader knows.
    @Sendable static func oldWords(_ path: String, _ lines: Lines) -> [Violation] {
        guard folders.contains(where: { path.hasPrefix($0) }) else { return [] }
        return lines.comments.indices.flatMap { index in
            words(lines.comments[index]).filter { rareWords.contains($0.text.lowercased()) }.map {
                word in
                Violation(
                    path: path, line: index + 1, rule: "old-word",
                    message: "\"\(word.text)\" is a rare word; use a plain one")
            }
        }
    }

    /// The index of the first line of the documentation above a line; attributes may stand between.
    private static func summaryLine(above line: Int, _ lines: Lines) -> Int? {
        func starts(_ index: Int, _ mark: String) -> Bool {
            lines.raw[index].drop { $0 == " " || $0 == "\t" }.hasPrefix(mark)
        }
        var last = line - 1
        while last >= 0, starts(last, "@") {
            last -= 1
        }
        var first = last
        while first >= 0, starts(first, "///") {
            first -= 1
        }
        return first < last ? first + 1 : nil
    }
}
