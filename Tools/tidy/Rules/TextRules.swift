/// Somebody else's code and golden bytes, which are not ours to tidy; and this tool, which must name what it looks for.
private let untouched = [
    "Sources/CLZ4/", "Sources/CZstd/", "Sources/CZlib/", "Formats/vectors/valid/", "Formats/vectors/invalid/", "Formats/vectors/stores/",
    "Tools/tidy/", "Tests/TidyTests/",
]

private func isUntouched(_ path: String) -> Bool {
    untouched.contains { path.hasPrefix($0) }
}

/// Rule: what is left to do is not left in the code.
public func checkLeftovers(_ path: String, _ lines: Lines) -> [Violation] {
    guard !isUntouched(path) else { return [] }
    let marks: Set<String> = ["TODO", "FIXME", "XXX"]
    return lines.raw.indices.compactMap { index in
        guard let word = words(lines.raw[index]).first(where: { marks.contains($0.text) }) else { return nil }
        return Violation(path: path, line: index + 1, rule: "leftover", message: "\(word.text): do it, or write it down elsewhere")
    }
}

/// Rule: no path of the machine that the file was written on.
public func checkMachinePaths(_ path: String, _ lines: Lines) -> [Violation] {
    guard !isUntouched(path) else { return [] }
    return lines.raw.indices.compactMap { index in
        guard let found = ["/root/", "/home/", "/Users/"].first(where: { hasPath(lines.raw[index], $0) }) else { return nil }
        return Violation(path: path, line: index + 1, rule: "machine-path", message: "\(found) exists on one machine only")
    }
}

/// Whether a path starts with this; a longer path or address that merely contains it does not count.
private func hasPath(_ line: String, _ prefix: String) -> Bool {
    var rest = line[...]
    while let found = rest.firstRange(of: prefix) {
        let before = found.lowerBound > line.startIndex ? line[line.index(before: found.lowerBound)] : " "
        if !before.isLetter && !before.isNumber && !"_-.~}/)".contains(before) {
            return true
        }
        rest = line[line.index(after: found.lowerBound)...]
    }
    return false
}

/// Rule: a file of tests expects something.
public func checkExpectations(_ path: String, _ lines: Lines) -> [Violation] {
    guard isSwift(path, in: ["Tests/"]) else { return [] }
    let code = lines.code.joined(separator: "\n")
    let isTestFile = path.hasSuffix("Tests.swift") || code.contains("@Test") || code.contains("XCTestCase")
    let expectations = ["#expect", "#require", "Issue.record", "XCTAssert"]
    guard isTestFile, !expectations.contains(where: { code.contains($0) }) else { return [] }
    return [Violation(path: path, line: 1, rule: "expectation", message: "a test file that expects nothing")]
}
