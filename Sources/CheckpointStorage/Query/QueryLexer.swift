/// Splits a condition into words, strings, operators and parentheses. Pure.
enum QueryLexer {
    struct Token: Equatable {
        enum Kind: Equatable {
            case word(String)
            /// The text between quotes.
            case quoted(String)
            case comparison(CheckpointQuery.Comparison)
            case open, close, end
        }

        var kind: Kind
        /// Column of the token's first character, from 1.
        var column: Int
    }

    static func tokens(of text: String) throws(CheckpointQuery.Mistake) -> [Token] {
        let characters = Array(text)
        var tokens: [Token] = []
        var at = 0
        while at < characters.count {
            let start = at
            let kind: Token.Kind?
            switch characters[at] {
            case "(": (kind, at) = (.open, at + 1)
            case ")": (kind, at) = (.close, at + 1)
            case "\"", "'": kind = .quoted(try quoted(characters, &at))
            case "<", ">", "=", "!": kind = .comparison(try comparison(characters, &at))
            case let space where space.isWhitespace: (kind, at) = (nil, at + 1)
            default: kind = .word(word(characters, &at))
            }
            if let kind { tokens.append(Token(kind: kind, column: start + 1)) }
        }
        return tokens + [Token(kind: .end, column: characters.count + 1)]
    }

    private static func word(_ characters: [Character], _ at: inout Int) -> String {
        let start = at
        while at < characters.count, !characters[at].isWhitespace, !"()<>=!\"'".contains(characters[at]) { at += 1 }
        return String(characters[start..<at])
    }

    /// Reads a quoted text. There is no escape: a text that contains one kind of quote is written
    /// in the other.
    private static func quoted(_ characters: [Character], _ at: inout Int) throws(CheckpointQuery.Mistake) -> String {
        guard let end = characters[(at + 1)...].firstIndex(of: characters[at]) else {
            throw CheckpointQuery.Mistake(column: at + 1, message: "this quote is never closed")
        }
        defer { at = end + 1 }
        return String(characters[at + 1..<end])
    }

    private static func comparison(
        _ characters: [Character], _ at: inout Int
    ) throws(CheckpointQuery.Mistake) -> CheckpointQuery.Comparison {
        let rest = String(characters[at..<min(at + 2, characters.count)])
        guard let found = CheckpointQuery.Comparison.allCases.first(where: { rest.hasPrefix($0.rawValue) }) else {
            throw CheckpointQuery.Mistake(
                column: at + 1, message: "! must be followed by =; to negate, write not")
        }
        at += found.rawValue.count
        return found
    }
}
