/// Rules about suites of tests.
public enum SuiteRules {
    /// Rule: every type of Tests that is a suite, or that holds a test, has a time limit; so a test
    /// that hangs ends.
    @Sendable public static func timeLimits(_ tree: SourceTree) -> [Violation] {
        let suites = tree.files.filter { isSwift($0.path, in: ["Tests/"]) }.flatMap { file in
            all(in: file.lines).map { (path: file.path, suite: $0) }
        }
        let limited = Set(
            suites.filter(\.suite.isLimited).map { key(of: $0.suite, in: $0.path) })
        return suites.filter {
            $0.suite.isTested && !limited.contains(key(of: $0.suite, in: $0.path))
        }.map {
            Violation(
                path: $0.path, line: $0.suite.line, rule: "time-limit",
                message:
                    "\($0.suite.name) has tests without a time limit; write"
                    + " @Suite(.timeLimit(.minutes(20)))")
        }
    }

    /// A type or an extension in the first column, or a test that is in none.
    private struct Suite {
        let name: String
        let line: Int
        let isLimited: Bool
        var isTested: Bool
    }

    /// A type by its name and the folder of its target.
    private static func key(of suite: Suite, in path: String) -> [String] {
        path.split(separator: "/").prefix(2).map { String($0) } + [suite.name]
    }

    private static func all(in lines: Lines) -> [Suite] {
        var found: [Suite] = []
        var isInside = false
        for index in lines.code.indices {
            let code = lines.code[index]
            if code.hasPrefix("}") { isInside = false }
            let isTest = hasAttribute("Test", code)
            if let name = declared(code) {
                let attributes = attributes(above: index, lines)
                let isSuite = attributes.contains { hasAttribute("Suite", $0) }
                let isLimited = attributes.contains { words($0).contains { $0.text == "timeLimit" } }
                found.append(
                    Suite(
                        name: name, line: index + 1, isLimited: isLimited,
                        isTested: isSuite || isTest))
                isInside = !code.hasSuffix("}")
            } else if isTest, isInside {
                found[found.count - 1].isTested = true
            } else if isTest {
                let isLimited = words(code).contains { $0.text == "timeLimit" }
                found.append(
                    Suite(
                        name: "line \(index + 1)", line: index + 1, isLimited: isLimited,
                        isTested: !isLimited))
            }
        }
        return found
    }

    /// The name of the type that a line in the first column declares or extends.
    private static func declared(_ code: String) -> String? {
        guard let first = code.first, !first.isWhitespace else { return nil }
        let all = words(code)
        let keywords: Set<String> = ["struct", "class", "enum", "actor", "extension"]
        let start = all.indices.dropLast().first {
            keywords.contains(all[$0].text) && all[$0].after == " "
                && (all[$0].before == nil || all[$0].before == " ")
        }
        return start.map { all[$0 + 1].text }
    }

    /// The line of a declaration, and the lines above it that belong to it.
    private static func attributes(above index: Int, _ lines: Lines) -> [String] {
        var first = index
        while first > 0, !lines.raw[first - 1].allSatisfy(\.isWhitespace),
            !lines.code[first - 1].hasPrefix("}")
        {
            first -= 1
        }
        return Array(lines.code[first...index])
    }

    private static func hasAttribute(_ name: String, _ code: String) -> Bool {
        words(code).contains { $0.text == name && $0.before == "@" }
    }
}
