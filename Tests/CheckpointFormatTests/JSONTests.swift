import CheckpointFormat
import CheckpointTestSupport
import Testing

private func parse(_ text: String) throws(FormatError) -> JSONValue { try JSONParser.parse(Array(text.utf8)[...]) }
private func parse(_ bytes: [UInt8]) throws(FormatError) -> JSONValue { try JSONParser.parse(bytes[...]) }

@Suite("JSON", .timeLimit(.minutes(20)))
struct JSONTests {
    private static let good: [(String, JSONValue)] = [
        ("null", .null), (" true ", .bool(true)), ("false\n", .bool(false)), ("0", .integer(0)), ("-0", .integer(0)),
        ("-9223372036854775808", .integer(.min)), ("9223372036854775807", .integer(.max)), ("1.0", .number(1)),
        ("1e3", .number(1000)), ("1E+3", .number(1000)), ("-2.5e-1", .number(-0.25)), ("-0.0", .number(-0.0)),
        ("\"\"", .string("")), ("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", .string("a\"\\/\u{8}\u{C}\n\r\t")),
        ("\"\\u0041\\u00e9\\uD83D\\uDE00\"", .string("A\u{E9}\u{1F600}")),
        ("\"\u{1F600}\u{7F}\"", .string("\u{1F600}\u{7F}")),
        ("[]", .array([])), ("[1,[2],{}]", .array([.integer(1), .array([.integer(2)]), .object([])])),
        ("{\"b\":1,\"a\":2}", .object([.init("b", .integer(1)), .init("a", .integer(2))])),
        (
            "{\"caf\u{E9}\":1,\"cafe\u{301}\":2}",
            .object([.init("caf\u{E9}", .integer(1)), .init("cafe\u{301}", .integer(2))])
        ),
    ]

    @Test("What JSON allows is read", arguments: good)
    func accepted(_ text: String, _ value: JSONValue) throws {
        #expect(try parse(text).text == value.text)
    }

    @Test(
        "What JSON or the format forbids is refused",
        arguments: [
            "", " ", "nul", "nulls", "True", "tru", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "-", "--1", "0x10",
            "1_000", "NaN",
            "Infinity", "-Infinity", "1e400", "-1e999", "9223372036854775808", "-9223372036854775809",
            "123456789012345678901234567890", "\"", "\"a", "\"\\\"", "\"\\x41\"", "\"\\u12\"", "\"\\u123g\"",
            "\"\\u+041\"",
            "\"\\u-000\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\ud800\\ud800\"",
            "\"\\ude00\\ud83d\"", "\"\n\"",
            "\"\t\"", "\"\u{0}\"", "'a'", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "]", "{", "{}}", "{a:1}",
            "{\"a\"}", "{\"a\":}",
            "{\"a\":1,}", "{\"a\" 1}", "{1:2}", "{\"a\":1 \"b\":2}", "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}",
            "[{\"x\":{\"y\":1,\"y\":1}}]",
            "1 2", "{} []", "// comment\n1", "[1]/**/", "\u{FEFF}1", "\u{A0}1", "[1]\u{0}",
        ])
    func refused(_ text: String) {
        let error = #expect(throws: FormatError.self) { try parse(text) }
        #expect(error?.kind == .damage)
        #expect((0...text.utf8.count).contains(error?.offset ?? -1))
    }

    @Test(
        "Text that is not UTF-8 is refused, in values and in keys",
        arguments: [
            [0xFF], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xE2, 0x82], [0xF4, 0x90, 0x80, 0x80], [0x80],
            [0xF8, 0x88, 0x80, 0x80, 0x80],
        ] as [[UInt8]])
    func encoding(_ bad: [UInt8]) {
        let quote = UInt8(ascii: "\"")
        #expect(throws: FormatError.self) { try parse([quote] + bad + [quote]) }
        #expect(throws: FormatError.self) { try parse([quote] + Array("\\n".utf8) + bad + [quote]) }
        #expect(throws: FormatError.self) { try parse(Array("{\"".utf8) + bad + Array("\":1}".utf8)) }
    }

    @Test("Nesting ends at the limit, whatever stands inside")
    func depth() throws {
        func nested(_ depth: Int, _ inside: String, _ open: String, _ close: String) -> String {
            String(repeating: open, count: depth) + inside + String(repeating: close, count: depth)
        }
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for inside in ["1", "\"x\"", "null"] {
                _ = try parse(nested(64, inside, open, close))
                #expect(throws: FormatError.self) { try parse(nested(65, inside, open, close)) }
            }
        }
        #expect(throws: FormatError.self) { try parse(nested(65, "", "[", "]")) }
        #expect(throws: FormatError.self) { try parse(nested(1_000_000, "", "[", "")) }
    }

    @Test("What is written is read back, as the same bytes", arguments: Seeds.first(200))
    func roundTrip(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let text = randomValue(&random, depth: 0).text
        #expect(try parse(text).text == text)
    }

    private func randomValue(_ random: inout SeededGenerator, depth: Int) -> JSONValue {
        switch random.below(depth < 5 ? 8 : 6) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &random))
        case 2: return .integer(Int64(bitPattern: random.next()))
        case 3:
            let number = Double(bitPattern: random.next())
            return .number(number.isFinite ? number : -0.0)
        case 4, 5: return .string(RandomManifest.name(&random))
        case 6: return .array((0..<random.below(4)).map { _ in randomValue(&random, depth: depth + 1) })
        default:
            return .object((0..<random.below(4)).map { .init("\($0)", randomValue(&random, depth: depth + 1)) })
        }
    }

    @Test("Any bytes are read or refused, and never trap", arguments: Seeds.first(8))
    func garbage(_ seed: UInt64) {
        var random = SeededGenerator(seed)
        let alphabet = Array("{}[]\":,\\u0dD8e+-.1tfn \u{E9}".utf8)
        for _ in 0..<2000 {
            let bytes = (0..<random.below(24)).map { _ in alphabet[random.below(alphabet.count)] }
            guard let value = try? parse(bytes) else { continue }
            #expect((try? parse(value.text))?.text == value.text)
        }
    }
}
