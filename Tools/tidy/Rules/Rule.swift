/// A rule: a function of a path and the lines of that file.
public typealias Rule = @Sendable (_ path: String, _ lines: Lines) -> [Violation]

/// Every rule about files, in the order of their reports.
public let allRules: [Rule] = [
    LayerRules.imports, checkUnsafe, checkForbiddenCalls, checkSilentTry, checkNameComparisons,
    checkFileLength, checkFunctionLength, checkLineLength, checkDocumentation,
    checkLeftovers, checkMachinePaths, checkExpectations,
]

/// Runs every rule about files over one file.
public func checkAll(path: String, text: String) -> [Violation] {
    checkAll(SourceFile(path: path, text: text))
}

/// Runs every rule about files over one file.
func checkAll(_ file: SourceFile) -> [Violation] {
    allRules.flatMap { rule in rule(file.path, file.lines) }.sorted { $0.line < $1.line }
}
