import Testing

@testable import TidyRules

@Suite("Tests that documents name", .timeLimit(.minutes(20)))
struct NamedTestRuleTests {
    private func found(_ document: String) -> [String] {
        let tests = """
            @Suite("a")
            struct SaveTests {
                @Test("a") func first() {}
                @Test(
                    "b", arguments: 0..<3)
                func second(n: Int) throws {
                }
            }

            extension SaveTests {
                func third() {}
            }

            struct OtherTests {
                @Test func other() {}
            }
            """
        return NamedTestRule.exist(
            sampleTree([], ["Tests/T/SaveTests.swift": tests, "Formats/a.md": document])
        ).map { "\($0.line) \($0.message)" }
    }

    @Test("Those that exist are fine, and so is what is no name of a test")
    func present() {
        #expect(found("`SaveTests.first`, `SaveTests.second`\n`SaveTests.third` `OtherTests.other`") == [])
        #expect(found("`Tests/T/SaveTests.swift` `SaveTests.swift` SaveTests.none `Save.none` `SaveTests`") == [])
    }

    @Test("One that does not exist, or that is in another suite, is found")
    func missing() {
        #expect(found("a\n`SaveTests.fourth`") == ["2 there is no test SaveTests.fourth"])
        #expect(found("`SaveTests.first` and `OtherTests.first`") == ["1 there is no test OtherTests.first"])
    }
}
