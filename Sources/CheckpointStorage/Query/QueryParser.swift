/// Parses a condition by recursive descent. `or` binds weakest, then `and`, then `not`.
struct QueryParser {
    private typealias Node = CheckpointQuery.Node
    private typealias Mistake = CheckpointQuery.Mistake

    private let tokens: [QueryLexer.Token]
    private var next = 0
    private var depth = 0

    init(tokens: [QueryLexer.Token]) { self.tokens = tokens }

    mutating func parse() throws(CheckpointQuery.Mistake) -> CheckpointQuery.Node {
        let node = try disjunction()
        guard tokens[next].kind == .end else { throw mistake("\"and\", \"or\", or the end was expected") }
        return node
    }

    private func mistake(_ message: String) -> Mistake { Mistake(column: tokens[next].column, message: message) }

    private mutating func take(_ word: String) -> Bool {
        guard case .word(let text) = tokens[next].kind, text.lowercased() == word else { return false }
        next += 1
        return true
    }

    private mutating func disjunction() throws(CheckpointQuery.Mistake) -> Node {
        var node = try conjunction()
        while take("or") { node = .or(node, try conjunction()) }
        return node
    }

    private mutating func conjunction() throws(CheckpointQuery.Mistake) -> Node {
        var node = try negation()
        while take("and") { node = .and(node, try negation()) }
        return node
    }

    private mutating func negation() throws(CheckpointQuery.Mistake) -> Node {
        depth += 1
        defer { depth -= 1 }
        // A comparison itself does not count as a nesting level.
        guard depth <= CheckpointQuery.depthMax + 1 else {
            throw mistake(
                "the condition is nested more than \(CheckpointQuery.depthMax) levels deep")
        }
        if take("not") { return .not(try negation()) }
        guard tokens[next].kind == .open else { return try comparison() }
        next += 1
        let node = try disjunction()
        guard tokens[next].kind == .close else { throw mistake("a ) was expected") }
        next += 1
        return node
    }

    private mutating func comparison() throws(CheckpointQuery.Mistake) -> Node {
        let key: CheckpointKey
        switch tokens[next].kind {
        case .word("metric:"):
            guard case .quoted(let name) = tokens[next + 1].kind else { throw mistake("the name of a metric was expected") }
            next += 1
            key = .metric(name)
        case .word(let name): key = CheckpointKey(name)
        case .quoted(let name): key = .metric(name)
        default: throw mistake("the name of a metric, or step, created, age, run, size, stored, ratio, tensors or tag was expected")
        }
        next += 1
        guard case .comparison(let comparison) = tokens[next].kind else { throw mistake("one of < <= > >= = != was expected") }
        guard key.kind != .text || comparison.isEquality else { throw mistake("text can be compared only with = and !=") }
        next += 1
        return .comparison(key, comparison, try value(of: key.kind))
    }

    private mutating func value(of kind: CheckpointKey.Kind) throws(CheckpointQuery.Mistake) -> CheckpointQuery.Value {
        let text: String
        switch tokens[next].kind {
        case .word(let word): text = word
        case .quoted(let quoted): text = quoted
        default: throw mistake("a value was expected")
        }
        guard let value = QueryValue.parse(text, kind) else { throw mistake("\(QueryValue.expectation(kind)) was expected") }
        next += 1
        return value
    }
}
