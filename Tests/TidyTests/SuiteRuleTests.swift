import Testing

@testable import TidyRules

@Suite("Limits of suites", .timeLimit(.minutes(20)))
struct SuiteRuleTests {
    private func found(_ files: [String: String]) -> [String] {
        SuiteRules.timeLimits(sampleTree([], files)).map { "\($0.path):\($0.line)" }
    }

    @Test(
        "A suite without a limit is found",
        arguments: [
            "@Suite(\"a\")\nstruct A {\n}\n", "\nstruct A {\n    @Test func a() {}\n}\n",
            "@Suite struct A {}\n\n@Suite(.timeLimit(.minutes(1)))\nstruct B {}\n",
            "\n@Test func a() {}\n", "\nfinal class A {\n    struct B {\n        @Test func b() {}\n    }\n}\n",
            "@Suite(\".timeLimit\")\nenum A {}  // timeLimit\n",
        ])
    func missing(text: String) {
        #expect(found(["Tests/T/A.swift": text]).count == 1)
        #expect(found(["Sources/T/A.swift": text]) == [])
    }

    @Test(
        "A limit on the type, on several lines or on another extension counts, and types without tests need none",
        arguments: [
            "@Suite(\"a\", .timeLimit(.minutes(20)))\nstruct A {\n    @Test func a() {}\n}\n",
            "@Suite(\n    .serialized,\n    .timeLimit(.minutes(20)))\n/// A.\nstruct A {\n    @Test func a() {}\n}\n",
            "@Suite(.timeLimit(.minutes(20))) struct A {\n    @Test func a() {}\n}\n\nextension A {\n    @Test func b() {}\n}\n",
            "struct A {\n    let text = \"@Test\"  // @Test\n}\n", "@Test(.timeLimit(.minutes(1))) func a() {}\n",
        ])
    func present(text: String) {
        #expect(found(["Tests/T/A.swift": text]) == [])
    }

    @Test("A limit counts in other files of its target, and in no other target")
    func targets() {
        let limited = "@Suite(.timeLimit(.minutes(20)))\nstruct A {\n    @Test func a() {}\n}\n"
        let added = "extension A {\n    @Test func b() {}\n}\n"
        #expect(found(["Tests/T/A.swift": limited, "Tests/T/A+B.swift": added]) == [])
        #expect(found(["Tests/T/A.swift": limited, "Tests/U/A+B.swift": added]) == ["Tests/U/A+B.swift:1"])
    }
}
