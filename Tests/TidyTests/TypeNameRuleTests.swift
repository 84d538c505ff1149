import Testing

@testable import TidyRules

@Suite("Names of types", .timeLimit(.minutes(20)))
struct TypeNameRuleTests {
    private func found(_ a: String, _ b: String) -> [String] {
        let tree = sampleTree(
            [.sample("A"), .sample("B")], ["Sources/A/X.swift": a, "Sources/B/Y.swift": b])
        return TypeNameRules.unique(tree).map { "\($0.path):\($0.line)" }
    }

    @Test("Two targets with one name for what others see are found")
    func shared() {
        #expect(found("package struct P {\n}\n", "\npublic enum P {}\n") == ["Sources/B/Y.swift:2"])
        #expect(found("public final class P {}\n", "package typealias P = Int\n").count == 1)
    }

    @Test(
        "What only one target sees, extensions, members and other names are not",
        arguments: [
            "struct P {}\n", "private struct P {}\n", "extension P {}\n", "package struct Q {}\n",
            "package struct Q {\n    package struct P {}\n}\n", "// package struct P {}\n",
        ])
    func own(text: String) {
        #expect(found("package struct P {\n}\n", text) == [])
    }

    @Test("A target may declare a name under conditions")
    func conditions() {
        #expect(found("#if A\npackage struct P {}\n#else\npackage struct P {}\n#endif\n", "") == [])
    }
}
