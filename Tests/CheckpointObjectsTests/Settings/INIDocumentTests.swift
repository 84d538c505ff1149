import Testing

@testable import CheckpointObjects

/// The expected values are those of botocore 1.43 (`raw_config_parse`).
@Suite("Files of settings", .timeLimit(.minutes(10)))
struct INIDocumentTests {
    private func read(_ text: String) throws -> [String: [String: INIValue]] {
        try INIDocument(Array(text.utf8), file: "config").sections
    }

    @Test(
        "Values are read as botocore reads them",
        arguments: [
            ("[a]\nk=v\n", ["k": "v"]), ("[a]\n  k = v\n  l = w\n", ["k": "v", "l": "w"]),
            ("[a]\nk: v", ["k": "v"]), ("[a]\nK = v # x\n", ["k": "v # x"]),
            ("[a]\n# c\n; d\nk = v\n\n   w\n", ["k": "v\n\nw"]),
            ("[a] # c\nk=v\n", ["k": "v"]), ("[a]\nk=\n", ["k": ""]),
            ("[a]\nk = a=b:c\n", ["k": "a=b:c"]), ("[a]\r\nk = v\r\n", ["k": "v"]),
            ("[a]\n\tk = v\n\t l\n", ["k": "v\nl"]),
            ("[a]\nk = v\n  [b]\nl = w\n", ["k": "v\n[b]", "l": "w"]),
            ("[a]\nk =v\n   # c\n  w\n", ["k": "v\nw"]), ("\u{feff}[a]\nk=v", ["k": "v"]),
            ("[a]\n", [:]), ("[a]\nk = v\n\n\n", ["k": "v"]),
        ])
    func values(_ text: String, _ expected: [String: String]) throws {
        #expect(try read(text)["a"]?.mapValues(\.text) == expected)
    }

    @Test("Indented lines below an empty value are keys of their own")
    func nested() throws {
        let section = try read("[a]\ns3 =\n  x = 1\n\n  Y = 2=3\nz = 3\n")["a"]
        #expect(section?["s3"]?.nested == ["x": "1", "Y": "2=3"])
        #expect(section?["z"]?.text == "3")
        #expect(section?["z"]?.line == 6)
    }

    @Test(
        "A malformed line is an error with its number and without its text",
        arguments: [
            ("[a]\nk=v\n[a]\nl=w\n", 3), ("[a]\nk=v\nk=secret-other\n", 3),
            ("secret-other=v\n", 1), ("[a]\n\nsecret-other\n", 3),
            ("[a]\ns3 =\n  secret-other\n", 2), ("[secret-other\nk=v\n", 1),
            ("[a]\n= secret-other\n", 2), ("[]\n", 1),
        ])
    func malformed(_ text: String, _ line: Int) throws {
        let error = try #require(throws: SettingsError.self) { try read(text) }
        #expect(error.description.contains("config, line \(line)"))
        #expect(!error.description.contains("secret-other"))
    }

    @Test("Bytes that are not UTF-8 are refused")
    func encoding() {
        #expect(throws: SettingsError.self) {
            try INIDocument([0x5b, 0x61, 0x5d, 0x0a, 0xff, 0xfe], file: "config")
        }
    }

    @Test("Any cut of a file is read or refused, without a trap")
    func truncations() {
        let bytes = Array("[profile \"a b\"]\ns3 =\n  x = \u{e9}\n[services q]\nk : v\n".utf8)
        for count in 0...bytes.count {
            _ = try? INIDocument(Array(bytes[..<count]), file: "config")
        }
    }

    @Test(
        "Command lines are split as by shlex",
        arguments: [
            ("a b  c", ["a", "b", "c"]), ("a 'b c' \"d e\"", ["a", "b c", "d e"]),
            ("a\\ b", ["a b"]), ("\"a\\\"b\\n\"", ["a\"b\\n"]), ("a''b", ["ab"]), ("''", [""]),
            ("", []), ("$HOME `x` *", ["$HOME", "`x`", "*"]), ("'a", nil), ("\"a", nil),
            ("a\\", nil),
        ] as [(String, [String]?)])
    func shellWords(_ text: String, _ expected: [String]?) {
        #expect(ShellWords.split(text) == expected)
    }

    @Test(
        "Times are read in UTC and with an offset",
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2026-11-28T18:15:00Z", noon),
            ("2026-11-28T19:15:00+01:00", noon), ("2026-11-28T18:15:00.123456Z", noon),
            ("2024-02-29T00:00:00Z", 1_709_164_800), ("2000-03-01T00:00:00Z", 951_868_800),
            ("2026-11-28T18:15:00", nil), ("2026-13-28T18:15:00Z", nil), ("", nil), ("now", nil),
            ("2026-11-28T18:15:00Zx", nil),
        ] as [(String, Double?)])
    func times(_ text: String, _ expected: Double?) {
        #expect(UTCTime.read(text) == expected)
    }
}
