import Testing

@testable import TidyRules

@Suite("Ratchet", .timeLimit(.minutes(20)))
struct RatchetTests {
    private let rules = [
        RatchetedRule(
            name: "wide",
            rule: { path, lines in
                lines.raw.indices.filter { lines.raw[$0].contains("wide") }.map {
                    Violation(path: path, line: $0 + 1, rule: "wide", message: "wide")
                }
            }, row: { $0 })
    ]

    private func tree(_ files: [String: String]) -> SourceTree { sampleTree([], files) }

    private func found(_ list: String, _ files: [String: String]) throws -> [String] {
        try Ratchet(text: list).violations(in: tree(files), rules: rules).map(\.message)
    }

    @Test("As many as listed are allowed; more and fewer are violations")
    func comparison() throws {
        #expect(try found("wide a 2\n", ["a": "wide\nwide\n"]) == [])
        #expect(
            try found("wide a 1\n", ["a": "wide\nwide\n"]) == [
                "a has 2, not 1; see tidy list wide"
            ])
        #expect(try found("", ["a": "wide\nwide\n"]) == ["wide", "wide"])
        #expect(
            try found("wide a 2\n", ["a": "wide\n"]) == [
                "a has 1, not 2: run tidy ratchet"
            ])
        #expect(
            try found("wide a 2\n", [:]) == ["a has 0, not 2: run tidy ratchet"])
    }

    private func lowered(_ list: String, _ files: [String: String]) throws -> Ratchet {
        try Ratchet(text: list).lowered(to: Ratchet(counting: tree(files), rules: rules))
    }

    @Test("Counts go down, never up")
    func lowering() throws {
        #expect(
            try lowered("wide a 2\nwide b 1\n", ["a": "wide", "b": "wide\nwide"])
                == Ratchet(text: "wide a 1\nwide b 1\n"))
        #expect(try lowered("wide a 2\n", [:]) == Ratchet(text: ""))
        #expect(try lowered("", ["a": "wide"]) == Ratchet(text: ""))
    }

    @Test("A file that is moved takes its count along, and no more")
    func moving() throws {
        #expect(try lowered("wide a 2\n", ["b": "wide\nwide"]) == Ratchet(text: "wide b 2\n"))
        #expect(try lowered("wide a 1\n", ["b": "wide\nwide"]) == Ratchet(text: ""))
    }

    @Test("A new rule starts with what the tree has, once")
    func starting() throws {
        let present = Ratchet(counting: tree(["a": "wide"]), rules: rules)
        #expect(try Ratchet(text: "").starting("wide", at: present) == Ratchet(text: "wide a 1\n"))
        #expect(
            try Ratchet(text: "wide b 1\n").starting("wide", at: present)
                == Ratchet(text: "wide b 1\n"))
    }

    @Test("The list is read as it is written; another line is an error")
    func list() throws {
        let list = try Ratchet(text: "wide a 2\n# comment\n\nwide b 1\n")
        #expect(try Ratchet(text: list.text) == list)
        for text in ["wide a", "wide a 0", "wide a b", "wide a 1 2"] {
            #expect(throws: RatchetError.self) { try Ratchet(text: text) }
        }
    }
}

@Suite("Prose", .timeLimit(.minutes(20)))
struct ProseTests {
    private func lines(_ rule: Rule, _ path: String, _ text: String) -> [Int] {
        rule(path, Lines(text, Language(path: path))).map(\.line)
    }

    @Test(
        "A summary of a type that starts like a question is found",
        arguments: [
            "/// What it is.\nstruct A {}", "/// Whether.\n/// More.\n@frozen\npublic enum A {}",
            "/// Who\nfinal class A {}",
            "/// How\n  actor A {}", "/// Where\nprotocol P {}",
        ])
    func questions(text: String) {
        #expect(lines(ProseRules.summary, "Sources/A/A.swift", "\n" + text) == [2])
    }

    @Test(
        "Other summaries, and those of members, are not found",
        arguments: [
            "/// A thing.\n/// What more.\nstruct A {}", "/// Whatever.\nstruct A {}",
            "/// Whether.\nvar a: Int",
            "// What\nstruct A {}", "/// What\n\nstruct A {}", "/// What\nclass func a() {}",
        ])
    func statements(text: String) {
        #expect(lines(ProseRules.summary, "Sources/A/A.swift", text) == [])
    }

    @Test("Rare words are found in comments of Swift, C and scripts, but not in code")
    func rareWords() {
        for (path, text) in [
            ("Sources/A/A.swift", "let a = 1  // lest"), ("Tests/A/a.c", "/* Anew */"),
            ("Tools/run", "# whoever"),
            ("Examples/a.py", "  # an affair"), ("Tests/A/A.swift", "/* a\nlest */"),
        ] {
            #expect(lines(ProseRules.oldWords, path, text).count == 1, "\(path)")
        }
        for (path, text) in [
            ("Sources/A/A.swift", "let anew = \"lest\"  // blest"), ("Tools/run", "echo anew"),
            ("README.md", "# anew"),
        ] {
            #expect(lines(ProseRules.oldWords, path, text) == [], "\(path)")
        }
    }

    @Test("A file declares or extends the type that it is named after")
    func fileNames() {
        let rule = FileNameRule.check
        for text in [
            "struct A {}", "public final class A {", "extension A: B {", "@Suite(\"x\") enum A {}",
            "extension B.A {}",
        ] {
            #expect(lines(rule, "Sources/T/A.swift", text) == [], "\(text)")
            #expect(lines(rule, "Tools/t/A+More.swift", text) == [], "\(text)")
        }
        for text in [
            "struct B {}", "    struct A {}", "func a() {}", "// struct A {}", "class func A() {}",
        ] {
            #expect(lines(rule, "Sources/T/A.swift", text) == [1], "\(text)")
        }
        #expect(lines(rule, "Tests/T/A.swift", "struct B {}") == [])
    }
}
