/// A file cut into lines: as it is, as code without comments and string literals, and as comments.
public struct Lines: Sendable {
    /// The lines as they are.
    public let raw: [String]
    /// The same lines without comments and string literals; the code inside an interpolation stays.
    public let code: [String]
    /// The comments on each line, with their slashes or hash signs.
    public let comments: [String]
    /// Whether some part of a comment lies on the line.
    public let commented: [Bool]

    /// Cuts a text. A text that is not Swift has no code; its comments are found if the language is known.
    public init(_ text: String, _ language: Language = .swift) {
        let raw = Self.cut(text)
        var scrubber = Scrubber(text)
        if language == .swift || language == .c {
            scrubber.run()
        }
        self.raw = raw
        code = Self.pad(language == .swift ? Self.cut(scrubber.output) : [], to: raw.count)
        comments = language == .script ? raw.map(Self.scriptComment) : Self.pad(Self.cut(scrubber.comments), to: raw.count)
        let marks = scrubber.commentedLines
        commented = raw.indices.map { marks.contains($0) }
    }

    private static func pad(_ lines: [String], to count: Int) -> [String] {
        (0..<count).map { $0 < lines.count ? lines[$0] : "" }
    }

    /// A line that starts with a hash sign; one inside a string of the script is rare enough.
    private static func scriptComment(_ line: String) -> String {
        line.drop { $0 == " " || $0 == "\t" }.hasPrefix("#") ? line : ""
    }

    /// Lines are ended by a line feed; the last one may lack it. A carriage return stays in its line.
    private static func cut(_ text: String) -> [String] {
        var lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map { String($0) }
        if lines.last == "" {
            lines.removeLast()
        }
        return lines
    }
}

/// Takes comments and the text of string literals out of Swift source. Regex literals are read as code.
struct Scrubber {
    private enum Mode {
        /// Code; inside an interpolation, with the number of parentheses that are open in it.
        case code(parentheses: Int)
        case string(hashes: Int, isMultiline: Bool)
        case lineComment
        case blockComment(depth: Int)
    }

    private let input: [Unicode.Scalar]
    private var at = 0
    private var line = 0
    private var modes: [Mode] = [.code(parentheses: 0)]
    private var kept = String.UnicodeScalarView()
    private var commentText = String.UnicodeScalarView()
    private(set) var commentedLines: Set<Int> = []

    /// The code, with the line feeds of the text.
    var output: String { String(kept) }
    /// The comments, with the line feeds of the text.
    var comments: String { String(commentText) }

    init(_ text: String) {
        input = Array(text.unicodeScalars)
    }

    mutating func run() {
        while at < input.count {
            switch modes[modes.count - 1] {
            case .code(let parentheses): stepCode(parentheses)
            case .string(let hashes, let isMultiline): stepString(hashes, isMultiline)
            case .lineComment: stepLineComment()
            case .blockComment(let depth): stepBlockComment(depth)
            }
        }
    }

    private func next(is text: String, from start: Int) -> Bool {
        var index = start
        for scalar in text.unicodeScalars {
            guard index < input.count, input[index] == scalar else { return false }
            index += 1
        }
        return true
    }

    private var isComment: Bool {
        switch modes[modes.count - 1] {
        case .lineComment, .blockComment: true
        case .code, .string: false
        }
    }

    private mutating func take(_ count: Int = 1, keep: Bool) {
        for _ in 0..<count where at < input.count {
            if input[at] == "\n" {
                line += 1
                kept.append("\n")
                commentText.append("\n")
            } else if keep {
                kept.append(input[at])
            } else if isComment {
                commentText.append(input[at])
            }
            at += 1
        }
    }

    private mutating func stepCode(_ parentheses: Int) {
        if next(is: "//", from: at) {
            modes.append(.lineComment)
            return
        }
        if next(is: "/*", from: at) {
            commentedLines.insert(line)
            modes.append(.blockComment(depth: 1))
            take(2, keep: false)
            return
        }
        var hashes = 0
        while next(is: "#", from: at + hashes) {
            hashes += 1
        }
        if next(is: "\"", from: at + hashes) {
            let isMultiline = next(is: "\"\"\"", from: at + hashes)
            modes.append(.string(hashes: hashes, isMultiline: isMultiline))
            take(hashes, keep: false)
            take(isMultiline ? 3 : 1, keep: true)
            return
        }
        if hashes > 0 {
            take(hashes, keep: true)
            return
        }
        if modes.count > 1, input[at] == "(" {
            modes[modes.count - 1] = .code(parentheses: parentheses + 1)
        } else if modes.count > 1, input[at] == ")" {
            if parentheses == 1 {
                modes.removeLast()
            } else {
                modes[modes.count - 1] = .code(parentheses: parentheses - 1)
            }
        }
        take(keep: true)
    }

    private mutating func stepString(_ hashes: Int, _ isMultiline: Bool) {
        let marks = String(repeating: "#", count: hashes)
        let quotes = isMultiline ? "\"\"\"" : "\""
        if next(is: "\\" + marks + "(", from: at) {
            modes.append(.code(parentheses: 1))
            take(hashes + 1, keep: false)
            take(keep: true)
        } else if next(is: "\\" + marks, from: at) {
            take(hashes + 2, keep: false)
        } else if next(is: quotes + marks, from: at) {
            modes.removeLast()
            take(isMultiline ? 3 : 1, keep: true)
            take(hashes, keep: false)
        } else {
            if input[at] == "\n", !isMultiline {
                modes.removeLast()
            }
            take(keep: false)
        }
    }

    private mutating func stepLineComment() {
        if input[at] == "\n" {
            modes.removeLast()
            return
        }
        commentedLines.insert(line)
        take(keep: false)
    }

    private mutating func stepBlockComment(_ depth: Int) {
        commentedLines.insert(line)
        if next(is: "/*", from: at) {
            modes[modes.count - 1] = .blockComment(depth: depth + 1)
            take(2, keep: false)
        } else if next(is: "*/", from: at) {
            if depth == 1 {
                modes.removeLast()
            } else {
                modes[modes.count - 1] = .blockComment(depth: depth - 1)
            }
            take(2, keep: false)
        } else {
            take(keep: false)
        }
    }
}

/// A word of code with the characters around it.
struct Word: Equatable {
    let text: String
    let before: Character?
    let after: Character?
}

/// The identifiers and keywords of a line of code, in order.
func words(_ code: String) -> [Word] {
    var found: [Word] = []
    var text = ""
    var before: Character?
    var last: Character?
    for character in code {
        if character.isLetter || character.isNumber || character == "_" {
            if text.isEmpty {
                before = last
            }
            text.append(character)
        } else {
            if !text.isEmpty {
                found.append(Word(text: text, before: before, after: character))
                text = ""
            }
        }
        last = character
    }
    if !text.isEmpty {
        found.append(Word(text: text, before: before, after: nil))
    }
    return found
}

/// The folders that code lives in, and whether a path is Swift inside one of them.
func isSwift(_ path: String, in folders: [String]) -> Bool {
    path.hasSuffix(".swift") && folders.contains { path.hasPrefix($0) }
}
