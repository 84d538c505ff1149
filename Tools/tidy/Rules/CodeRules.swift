/// The folders without unsafe code, and the files in them that may have it.
private let safeFolders = [
    "Sources/CheckpointFormat/", "Sources/CheckpointStorage/", "Sources/CheckpointMaintenance/",
    "Sources/CheckpointInterchange/", "Sources/Checkpointing/", "Tools/", "Examples/",
]
private let allowList = ["Examples/ReferenceTrainer/Model/", "Tools/ckpt/Terminal.swift", "Tools/bench/Library/Memory.swift"]

/// Rule: no unsafe code where nothing needs it.
public func checkUnsafe(_ path: String, _ lines: Lines) -> [Violation] {
    guard isSwift(path, in: safeFolders), !allowList.contains(where: { path.hasPrefix($0) }) else { return [] }
    return lines.code.indices.flatMap { index in
        let found = words(lines.code[index]).map(\.text).filter { word in
            word.hasPrefix("unsafe") || word.hasPrefix("Unsafe") || word.hasPrefix("withUnsafe")
        }
        return found.prefix(1).map { word in
            Violation(
                path: path, line: index + 1, rule: "unsafe",
                message: "\(word): this folder has no unsafe code; the allow list is in CodeRules.swift")
        }
    }
}

/// Rule: in Sources nothing ends the process, and nothing writes to standard output.
public func checkForbiddenCalls(_ path: String, _ lines: Lines) -> [Violation] {
    guard isSwift(path, in: ["Sources/"]) else { return [] }
    return lines.code.indices.flatMap { index in
        words(lines.code[index]).compactMap { word in
            guard let name = forbidden(word) else { return nil }
            return Violation(
                path: path, line: index + 1, rule: "forbidden",
                message: "\(name): a library throws its errors, and logs through its logger")
        }
    }
}

private func forbidden(_ word: Word) -> String? {
    switch (word.text, word.after) {
    case ("try", "!"), ("as", "!"): word.text + "!"
    case ("fatalError", "("), ("print", "("): word.before == "." ? nil : word.text + "("
    default: nil
    }
}

/// Rule: an error may be dropped in Sources only with a comment that says why.
public func checkSilentTry(_ path: String, _ lines: Lines) -> [Violation] {
    guard isSwift(path, in: ["Sources/"]) else { return [] }
    return lines.code.indices.compactMap { index in
        let isSilent = words(lines.code[index]).contains { $0.text == "try" && $0.after == "?" }
        let isExplained = lines.commented[index] || (index > 0 && lines.commented[index - 1])
        guard isSilent, !isExplained else { return nil }
        return Violation(
            path: path, line: index + 1, rule: "silent-try",
            message: "try? drops an error; say why in a comment on this line or the one before")
    }
}

/// Rule: names are compared in one place, ByteName, and nowhere else by hand.
public func checkNameComparisons(_ path: String, _ lines: Lines) -> [Violation] {
    guard isSwift(path, in: ["Sources/"]), path != "Sources/CheckpointFormat/ByteName.swift" else {
        return []
    }
    return lines.code.indices.compactMap { index in
        let code = lines.code[index]
        let comparisons = ["utf8.elementsEqual(", "utf8.lexicographicallyPrecedes("]
        guard comparisons.contains(where: { code.contains($0) }) || copiesName(code) else {
            return nil
        }
        return Violation(
            path: path, line: index + 1, rule: "name-bytes",
            message: "compare and look up names with ByteName, isSameName and precedesName")
    }
}

/// Returns true if a line copies the bytes of a name into an array.
private func copiesName(_ code: String) -> Bool {
    ["Array(", "[UInt8]("].contains { start in
        code.ranges(of: start).contains { range in
            let argument = code[range.upperBound...].prefix { $0 != "(" && $0 != ")" }
            return ["name.utf8", "Name.utf8"].contains { argument.hasSuffix($0) }
        }
    }
}

/// Rule: a public declaration in Sources has a documentation comment; attributes may stand between.
public func checkDocumentation(_ path: String, _ lines: Lines) -> [Violation] {
    guard isSwift(path, in: ["Sources/"]) else { return [] }
    return lines.code.indices.compactMap { index in
        let code = lines.code[index]
        guard isPublicDeclaration(code), !isWitness(code), !isDocumented(index, lines) else { return nil }
        return Violation(path: path, line: index + 1, rule: "documentation", message: "public declaration without a /// comment")
    }
}

/// Whether a declaration is known from the protocol or the attribute that asks for it, which says what it does.
private func isWitness(_ code: String) -> Bool {
    let witnesses = [
        "let rawValue:", "init(rawValue:", "var description: String {", "let description: String", "static func <",
        "func describe(to inventory: inout StateInventory)", "static func build",
    ]
    return witnesses.contains { code.contains("public " + $0) }
}

private func isPublicDeclaration(_ code: String) -> Bool {
    let modifiers: Set<String> = [
        "final", "static", "class", "nonisolated", "unsafe", "indirect", "override", "required", "convenience", "lazy", "weak",
        "mutating", "consuming", "borrowing", "prefix", "postfix", "infix", "dynamic", "isolated", "distributed",
    ]
    var all = words(code)[...]
    while let first = all.first, modifiers.contains(first.text) || first.before == "@" || isArgument(first) {
        all.removeFirst()
    }
    guard let first = all.first, first.text == "public" || first.text == "open" else { return false }
    // `open` is a word like any other unless a declaration follows it, not an operator or a parenthesis.
    guard first.after == nil || first.after == " " else { return false }
    let second = all.dropFirst().first?.text
    return second != "import" && second != "extension" && (first.text == "public" || isDeclarationStart(second))
}

private func isDeclarationStart(_ word: String?) -> Bool {
    ["class", "func", "var", "let", "subscript", "override", "init"].contains(word)
}

/// Whether a word stands inside the parentheses of an attribute on the same line.
func isArgument(_ word: Word) -> Bool {
    word.before == "(" || word.after == ")" || word.after == ","
}

private func isDocumented(_ index: Int, _ lines: Lines) -> Bool {
    var above = index - 1
    while above >= 0 {
        let line = lines.raw[above].drop { $0 == " " || $0 == "\t" }
        if line.hasPrefix("///") || (lines.commented[above] && line.contains("*/")) {
            return true
        }
        let isBetween = line.hasPrefix("@") || line.hasPrefix("#if") || (line.hasPrefix("//") && !line.hasPrefix("///"))
        guard isBetween else { return false }
        above -= 1
    }
    return false
}
