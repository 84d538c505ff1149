internal import CheckpointFormat
public import Foundation

/// A condition on checkpoints, such as `step>1000 and (loss<2.1 or tag=best*)`
/// (Formats/cli-json.md, Conditions). Pure.
public struct CheckpointQuery: Sendable {
    /// A syntax error in a condition.
    public struct Mistake: Error, Sendable, CustomStringConvertible {
        /// Column of the first character that does not fit, from 1.
        public var column: Int
        /// Description of the error.
        public var message: String
        public var description: String { "column \(column): \(message)" }
    }

    /// Maximum size of a condition in bytes.
    static let bytesMax = 4096
    /// Maximum nesting depth of parentheses and `not`.
    static let depthMax = 64

    indirect enum Node: Equatable, Sendable {
        case comparison(CheckpointKey, Comparison, Value)
        case not(Node)
        case and(Node, Node)
        case or(Node, Node)
    }

    enum Comparison: String, CaseIterable, Sendable {
        case lessOrEqual = "<=", greaterOrEqual = ">=", notEqual = "!=", equal = "==", less = "<", greater = ">", same = "="
    }

    enum Value: Equatable, Sendable {
        case number(Double)
        case text(String)
    }

    let root: Node

    /// Parses a condition.
    ///
    /// - Parameter text: the condition, at most 4096 bytes.
    /// - Throws: the first syntax error, with its column.
    public init(_ text: String) throws(Mistake) {
        guard text.utf8.count <= Self.bytesMax else {
            throw Mistake(column: Self.bytesMax + 1, message: "a condition has at most \(Self.bytesMax) bytes")
        }
        var parser = QueryParser(tokens: try QueryLexer.tokens(of: text))
        root = try parser.parse()
    }

    /// Names of the metrics that the condition compares.
    public var metrics: Set<String> { Self.metrics(of: root) }

    private static func metrics(of node: Node) -> Set<String> {
        switch node {
        case .not(let node): metrics(of: node)
        case .and(let a, let b), .or(let a, let b): metrics(of: a).union(metrics(of: b))
        case .comparison(.metric(let name), _, _): [name]
        case .comparison: []
        }
    }

    /// Evaluates the condition for one checkpoint.
    ///
    /// A comparison with a metric that the checkpoint does not have is false.
    ///
    /// - Parameters:
    ///   - checkpoint: the checkpoint.
    ///   - now: the time from which ages are counted.
    /// - Returns: true if the condition holds.
    public func matches(_ checkpoint: CheckpointSummary, now: Date) -> Bool { holds(root, checkpoint, now) }

    private func holds(_ node: Node, _ checkpoint: CheckpointSummary, _ now: Date) -> Bool {
        switch node {
        case .not(let node): !holds(node, checkpoint, now)
        case .and(let a, let b): holds(a, checkpoint, now) && holds(b, checkpoint, now)
        case .or(let a, let b): holds(a, checkpoint, now) || holds(b, checkpoint, now)
        case .comparison(let key, let comparison, .number(let wanted)):
            key.number(of: checkpoint, now: now).map { comparison.holds($0, wanted) } ?? false
        case .comparison(let key, let comparison, .text(let pattern)):
            key.texts(of: checkpoint).contains { NamePattern(pattern).matches($0) } == (comparison != .notEqual)
        }
    }
}

extension CheckpointQuery.Comparison {
    /// Compares as IEEE 754 does, except that `nan = nan` is true: no other condition could find
    /// NaN.
    func holds(_ a: Double, _ b: Double) -> Bool {
        switch self {
        case .less: a < b
        case .lessOrEqual: a <= b
        case .greater: a > b
        case .greaterOrEqual: a >= b
        case .equal, .same: a == b || a.isNaN && b.isNaN
        case .notEqual: a != b && !(a.isNaN && b.isNaN)
        }
    }

    var isEquality: Bool { [.equal, .same, .notEqual].contains(self) }
}
