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
            throw mistake("the condition is nested deeper than \(CheckpointQuery.depthMax)")
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

/// Syntax of the values in conditions. Pure functions.
package enum QueryValue {
    static func parse(_ text: String, _ kind: CheckpointKey.Kind) -> CheckpointQuery.Value? {
        switch kind {
        case .text: .text(text)
        case .number: number(text).map { .number($0) }
        case .bytes: (number(text) ?? scaled(text, bytes)).map { .number($0) }
        case .duration: seconds(text).map { .number($0) }
        case .moment: moment(text).map { .number($0) }
        }
    }

    static func expectation(_ kind: CheckpointKey.Kind) -> String {
        switch kind {
        case .text: "text"
        case .number: "a number"
        case .bytes: "a size (1000, 1.5GB, 20MiB)"
        case .duration: "a duration (90s, 15m, 36h, 7d, 2w)"
        case .moment: "a time in UTC (2026-01-31, 2026-01-31T12:00, 2026-01-31T12:00:00Z)"
        }
    }

    /// Returns the seconds of a duration such as `36h` (units s, m, h, d, w); nil if the text is
    /// not a duration.
    package static func seconds(_ text: String) -> Double? { scaled(text, ["s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604_800]) }

    private static let bytes: [String: Double] = [
        "": 1, "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
        "KiB": 1024, "MiB": 1_048_576, "GiB": 1_073_741_824, "TiB": 1_099_511_627_776,
    ]

    private static func scaled(_ text: String, _ units: [String: Double]) -> Double? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let value = Double(digits), let unit = units[String(text[digits.endIndex...])] else { return nil }
        return value * unit
    }

    /// Parses a number as people write it: not in hexadecimal, which `Double` would accept.
    private static func number(_ text: String) -> Double? {
        switch text {
        case "true": 1
        case "false": 0
        case "nan": .nan
        case "inf": .infinity
        case "-inf": -.infinity
        default: text.allSatisfy { "0123456789+-.eE".contains($0) } ? Double(text) : nil
        }
    }

    /// Parses a date, with or without a time of day, in UTC; returns seconds since 1970.
    private static func moment(_ text: String) -> Double? {
        let parts = (text.hasSuffix("Z") ? text.dropLast() : text[...]).split(separator: "T", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let day = days(parts[0]) else { return nil }
        guard parts.count == 2 else { return text.hasSuffix("Z") ? nil : day * 86400 }
        guard let clock = fields(parts[1], ":", [24, 60, 60]), clock.count >= 2 else { return nil }
        return zip(clock, [3600.0, 60, 1]).reduce(day * 86400) { $0 + Double($1.0) * $1.1 }
    }

    /// Parses a date; returns days since 1970 in the Gregorian calendar. The year begins in March
    /// in this computation, so that the leap day is its last.
    private static func days(_ text: Substring) -> Double? {
        guard let date = fields(text, "-", [10_000, 13, 32]), date.count == 3, date[1] >= 1, date[2] >= 1,
            date[2] <= length(ofMonth: date[1], date[0])
        else { return nil }
        let year = date[1] > 2 ? date[0] : date[0] - 1
        let month = (date[1] + 9) % 12
        return Double(365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + date[2] - 1 - 719_468)
    }

    private static func length(ofMonth month: Int, _ year: Int) -> Int {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
    }

    private static func fields(_ text: Substring, _ separator: Character, _ limits: [Int]) -> [Int]? {
        let parts = text.split(separator: separator, omittingEmptySubsequences: false)
        guard parts.count <= limits.count else { return nil }
        let numbers = parts.map { part in part.allSatisfy { $0.isASCII && $0.isNumber } ? Int(part) : nil }
        let checked = zip(numbers, limits).compactMap { number, limit in number.flatMap { $0 < limit ? $0 : nil } }
        return checked.count == parts.count ? checked : nil
    }
}
