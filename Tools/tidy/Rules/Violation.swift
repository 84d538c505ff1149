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
