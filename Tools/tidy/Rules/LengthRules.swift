/// The ratchets: these numbers may only go down.
public enum Longest {
    /// Lines in a file.
    public static let file = 400
    /// Lines in a function, from the word `func` to the closing brace.
    public static let function = 70
    /// Columns in a line.
    public static let line = 140
    /// Columns in a line of Sources that is not counted by the ratchet of `tidy`.
    static let goodLine = 100
}

private let measuredFolders = ["Sources/", "Tools/", "Tests/", "Examples/", "Benchmarks/", "Package.swift"]

/// Rule: a file is short enough to be read at one sitting. A package description is a list, and may be longer.
public func checkFileLength(_ path: String, _ lines: Lines) -> [Violation] {
    guard isSwift(path, in: measuredFolders), path != "Package.swift", lines.raw.count > Longest.file else { return [] }
    let message = "\(lines.raw.count) lines, at most \(Longest.file)"
    return [Violation(path: path, line: Longest.file + 1, rule: "file-length", message: message)]
}

/// Rule: a line fits on a screen.
public func checkLineLength(_ path: String, _ lines: Lines) -> [Violation] {
    guard isSwift(path, in: measuredFolders) else { return [] }
    return lines.raw.indices.compactMap { index in
        let columns = lines.raw[index].count
        guard columns > Longest.line else { return nil }
        let message = "\(columns) columns, at most \(Longest.line)"
        return Violation(path: path, line: index + 1, rule: "line-length", message: message)
    }
}

/// Rule: a line of Sources fits beside another file. The tree does not keep this yet, so it has a ratchet.
@Sendable func checkWideLines(_ path: String, _ lines: Lines) -> [Violation] {
    guard isSwift(path, in: ["Sources/"]) else { return [] }
    return lines.raw.indices.compactMap { index in
        let columns = lines.raw[index].count
        guard columns > Longest.goodLine else { return nil }
        let message = "\(columns) columns, at most \(Longest.goodLine)"
        return Violation(path: path, line: index + 1, rule: "wide-line", message: message)
    }
}

/// Rule: a function fits on a screen, too.
public func checkFunctionLength(_ path: String, _ lines: Lines) -> [Violation] {
    guard isSwift(path, in: measuredFolders) else { return [] }
    return functions(lines).compactMap { function in
        let count = function.last - function.first + 1
        guard count > Longest.function else { return nil }
        return Violation(
            path: path, line: function.first + 1, rule: "function-length",
            message: "\(function.name) has \(count) lines, at most \(Longest.function)")
    }
}

struct FunctionExtent: Equatable {
    let name: String
    /// Indices of lines, from 0.
    let first: Int
    let last: Int
}

/// Every function and initializer with a body, found by matching braces.
func functions(_ lines: Lines) -> [FunctionExtent] {
    let tokens = lines.code.enumerated().flatMap { index, code in tokenize(code, line: index) }
    return tokens.indices.compactMap { index in
        let token = tokens[index]
        let follows = index + 1 < tokens.count ? tokens[index + 1].text : ""
        let before = index > 0 ? tokens[index - 1].text : ""
        let isInitializer = token.text == "init" && before != "." && ["(", "<", "?", "!"].contains(follows)
        guard (token.text == "func" && before != ".") || isInitializer || token.text == "deinit" else { return nil }
        guard let open = bodyStart(tokens, after: index), let close = closing(tokens, open) else { return nil }
        return FunctionExtent(name: token.text == "func" ? follows : token.text, first: token.line, last: tokens[close].line)
    }
}

private struct Token {
    let text: String
    let line: Int
}

/// Words, and each other character that is not a space as one token.
private func tokenize(_ code: String, line: Int) -> [Token] {
    var tokens: [Token] = []
    var word = ""
    func flush() {
        if !word.isEmpty {
            tokens.append(Token(text: word, line: line))
            word = ""
        }
    }
    for character in code {
        if character.isLetter || character.isNumber || character == "_" {
            word.append(character)
        } else {
            flush()
            if !character.isWhitespace {
                tokens.append(Token(text: String(character), line: line))
            }
        }
    }
    flush()
    return tokens
}

/// The brace that opens the body of the declaration at `index`; nil for the requirement of a protocol.
private func bodyStart(_ tokens: [Token], after index: Int) -> Int? {
    let endings: Set<String> = ["func", "var", "let", "init", "subscript", "associatedtype", "case", "static", "mutating", "}"]
    var depth = 0
    for next in tokens.indices.dropFirst(index + 1) {
        let text = tokens[next].text
        if text == "(" || text == "[" {
            depth += 1
        } else if text == ")" || text == "]" {
            depth -= 1
        } else if depth == 0, text == "{" {
            return next
        } else if depth < 0 || (depth == 0 && next > index + 1 && endings.contains(text)) {
            return nil
        }
    }
    return nil
}

private func closing(_ tokens: [Token], _ open: Int) -> Int? {
    var depth = 0
    for next in tokens.indices.dropFirst(open) {
        depth += tokens[next].text == "{" ? 1 : tokens[next].text == "}" ? -1 : 0
        if depth == 0 {
            return next
        }
    }
    return nil
}
