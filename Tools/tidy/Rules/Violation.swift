/// One place where a rule is broken.
public struct Violation: Equatable, Sendable, CustomStringConvertible {
    /// The file, relative to the root of the checkout.
    public let path: String
    /// The line, from 1.
    public let line: Int
    /// The name of the rule.
    public let rule: String
    /// What is wrong, and why that is a rule where it is not plain.
    public let message: String

    /// A violation of a rule at a line, from 1.
    public init(path: String, line: Int, rule: String, message: String) {
        self.path = path
        self.line = line
        self.rule = rule
        self.message = message
    }

    /// The line that is printed.
    public var description: String { "\(path):\(line): \(rule): \(message)" }
}

/// A rule: a function of a path and the lines of that file.
public typealias Rule = @Sendable (_ path: String, _ lines: Lines) -> [Violation]

/// Every rule, in the order of their reports.
public let allRules: [Rule] = [
    checkImports, checkUnsafe, checkForbiddenCalls, checkSilentTry, checkFileLength, checkFunctionLength, checkLineLength,
    checkDocumentation, checkLeftovers, checkMachinePaths, checkExpectations,
]

/// Runs every rule over one file.
public func checkAll(path: String, text: String) -> [Violation] {
    let lines = Lines(text, isSwift: path.hasSuffix(".swift"))
    return allRules.flatMap { rule in rule(path, lines) }.sorted { $0.line < $1.line }
}
