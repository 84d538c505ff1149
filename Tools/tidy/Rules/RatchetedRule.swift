/// A rule that the tree does not keep yet: the number of violations may only go down.
public struct RatchetedRule: Sendable {
    /// The name that violations and the list use.
    public let name: String
    /// The rule itself.
    let rule: Rule
    /// The row of the list that counts the violations of a file.
    let row: @Sendable (_ path: String) -> String

    /// Every violation in a tree.
    public func violations(in tree: SourceTree) -> [Violation] {
        tree.files.flatMap { rule($0.path, $0.lines) }
    }
}

/// Every rule with a ratchet.
public let ratchetedRules: [RatchetedRule] = [
    RatchetedRule(name: "misfiled", rule: FileNameRule.check) { $0 },
    RatchetedRule(name: "summary", rule: ProseRules.summary) { $0 },
    RatchetedRule(name: "old-word", rule: ProseRules.oldWords) { $0 },
    // A count for each file would be a list of half the tree.
    RatchetedRule(name: "wide-line", rule: checkWideLines, row: topFolder),
]

/// The first two folders of a path.
@Sendable private func topFolder(_ path: String) -> String {
    path.split(separator: "/").dropLast().prefix(2).joined(separator: "/")
}
