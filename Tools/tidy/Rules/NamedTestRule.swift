/// Rule about the tests that documents name as proof.
public enum NamedTestRule {
    /// Rule: each test that a document names as `SuiteTests.test` exists.
    @Sendable public static func exist(_ tree: SourceTree) -> [Violation] {
        let tests = Set(
            tree.files.filter { isSwift($0.path, in: ["Tests/"]) }.flatMap { names(in: $0.lines.code) })
        return tree.files.filter { $0.path.hasSuffix(".md") }.flatMap { file in
            file.lines.raw.indices.flatMap { index in
                quoted(in: file.lines.raw[index]).filter { !tests.contains($0) }.map {
                    Violation(
                        path: file.path, line: index + 1, rule: "named-test",
                        message: "there is no test \($0)")
                }
            }
        }
    }

    /// Each function of a suite as `Suite.function`.
    private static func names(in code: [String]) -> [String] {
        var suite = ""
        return code.compactMap { line in
            let words = line.split { !$0.isLetter && !$0.isNumber && $0 != "_" }
            let isTop = line.first.map { !$0.isWhitespace } ?? false
            if isTop, let keyword = words.firstIndex(where: { ["struct", "class", "enum", "extension"].contains($0) }),
                keyword + 1 < words.endIndex
            {
                suite = String(words[keyword + 1])
            }
            guard let function = words.firstIndex(of: "func"), function + 1 < words.endIndex else { return nil }
            return "\(suite).\(words[function + 1])"
        }
    }

    /// The texts between backquotes that have the form of a test's name.
    private static func quoted(in line: String) -> [String] {
        let parts = line.split(separator: "`", omittingEmptySubsequences: false)
        return parts.indices.filter { $0 % 2 == 1 }.map { String(parts[$0]) }.filter { text in
            let names = text.split(separator: ".", omittingEmptySubsequences: false)
            return names.count == 2 && names[0].hasSuffix("Tests") && names[1].first?.isLowercase == true
                && text.allSatisfy { $0.isLetter || $0.isNumber || $0 == "." } && names[1] != "swift"
        }
    }
}
