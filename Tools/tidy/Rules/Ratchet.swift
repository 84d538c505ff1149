/// The committed list of violations that the tree still has: for each rule and path a count that
/// may only go down.
public struct Ratchet: Equatable, Sendable {
    /// Where the list is kept, from the root of the checkout.
    public static let path = "Tools/tidy/known-violations.txt"

    /// A rule, and the file or folder that is counted.
    struct Row: Hashable, Comparable, Sendable {
        let rule: String
        let path: String

        static func < (a: Row, b: Row) -> Bool { (a.rule, a.path) < (b.rule, b.path) }
    }

    /// The count of each row; a row without violations is not there.
    private(set) var counts: [Row: Int]

    /// Reads a list: `rule path count` on each line, and comments that start with `#`.
    public init(text: String) throws(RatchetError) {
        counts = [:]
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            guard !line.isEmpty, !line.hasPrefix("#") else { continue }
            let parts = line.split(separator: " ").map { String($0) }
            guard parts.count == 3, let count = Int(parts[2]), count > 0 else {
                throw RatchetError(line: index + 1, text: String(line))
            }
            counts[Row(rule: parts[0], path: parts[1])] = count
        }
    }

    /// Counts the violations of a tree.
    public init(counting tree: SourceTree, rules: [RatchetedRule] = ratchetedRules) {
        counts = [:]
        for rule in rules {
            for violation in rule.violations(in: tree) {
                counts[Row(rule: rule.name, path: rule.row(violation.path)), default: 0] += 1
            }
        }
    }

    /// The list as it is committed.
    public var text: String {
        let head = """
            # Violations that the tree still has: rule, path, count. Counts may only go down.
            # `tidy ratchet` lowers them; `tidy list RULE` prints the places.

            """
        return head
            + counts.sorted { $0.key < $1.key }.map {
                "\($0.key.rule) \($0.key.path) \($0.value)\n"
            }.joined()
    }

    /// The list after the tree has been improved; `found` is what the tree has now.
    ///
    /// No count goes up. A path that has no row yet may take over what other rows of its rule have
    /// given up, because a file that is moved or split takes its violations along.
    public func lowered(to found: Ratchet) -> Ratchet {
        var result = self
        var spare: [String: Int] = [:]
        for (row, count) in counts {
            let kept = min(count, found.counts[row] ?? 0)
            result.counts[row] = kept > 0 ? kept : nil
            spare[row.rule, default: 0] += count - kept
        }
        for (row, count) in found.counts.sorted(by: { $0.key < $1.key }) where counts[row] == nil {
            guard let left = spare[row.rule], left >= count else { continue }
            result.counts[row] = count
            spare[row.rule] = left - count
        }
        return result
    }

    /// The list with the present counts of a rule that has no row yet: a new rule starts with what
    /// the tree has.
    public func starting(_ rule: String, at found: Ratchet) -> Ratchet {
        guard !counts.keys.contains(where: { $0.rule == rule }) else { return self }
        var result = self
        result.counts.merge(found.counts.filter { $0.key.rule == rule }) { $1 }
        return result
    }

    /// Compares the tree with the list: more than listed is a violation, and so is less.
    public func violations(in tree: SourceTree, rules: [RatchetedRule] = ratchetedRules)
        -> [Violation]
    {
        let above = rules.flatMap { rule in
            let groups = Dictionary(grouping: rule.violations(in: tree)) { rule.row($0.path) }
            return groups.sorted { $0.key < $1.key }.flatMap { path, found in
                excess(found, row: Row(rule: rule.name, path: path))
            }
        }
        let found = Ratchet(counting: tree, rules: rules)
        let below = counts.sorted { $0.key < $1.key }.filter {
            ($0.value > found.counts[$0.key] ?? 0)
        }
        return above
            + below.map { row, count in
                Violation(
                    path: Self.path, line: line(of: row), rule: row.rule,
                    message:
                        "\(row.path) has \(found.counts[row] ?? 0), not \(count): run tidy ratchet"
                )
            }
    }

    /// The violations of one row, if they are more than listed. The list does not say which of them
    /// are old.
    private func excess(_ found: [Violation], row: Row) -> [Violation] {
        let listed = counts[row] ?? 0
        guard found.count > listed else { return [] }
        guard listed > 0 else { return found }
        let first = found[0]
        return [
            Violation(
                path: first.path, line: first.line, rule: row.rule,
                message:
                    "\(row.path) has \(found.count), not \(listed); see tidy list \(row.rule)"
            )
        ]
    }

    private func line(of row: Row) -> Int {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        return (lines.firstIndex { $0.hasPrefix("\(row.rule) \(row.path) ") } ?? 0) + 1
    }
}

/// A line of the list that is not `rule path count`.
public struct RatchetError: Error, Equatable, CustomStringConvertible {
    /// The line, from 1.
    let line: Int
    /// The text of it.
    let text: String

    /// The line that is printed.
    public var description: String {
        "\(Ratchet.path):\(line): expected \"rule path count\", found \"\(text)\""
    }
}
