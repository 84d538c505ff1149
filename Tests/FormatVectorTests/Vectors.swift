import CheckpointFormat
import Foundation
import Testing

/// Formats/ beside the sources of this test.
let formats = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
    .appending(path: "Formats")

func bytes(of path: String) throws -> [UInt8] { Array(try Data(contentsOf: formats.appending(path: path))) }
func text(of path: String) throws -> String { String(decoding: try bytes(of: path), as: UTF8.self) }

/// One golden vector (Formats/vectors/README.md).
struct Vector: Sendable, CustomTestStringConvertible {
    var name: String
    var kind: String
    var about: JSONFields
    var bytes: [UInt8]

    var testDescription: String { name }

    var isValid: Bool { name.hasPrefix("valid/") }
    var file: String { get throws { try about.string("file") } }
    var error: String { get throws { try about.string("error") } }
    var offset: Int? { get throws { try about.nullable("offset") == nil ? nil : try about.count("offset") } }
    var expected: JSONFields { get throws { try JSONFields(try about.value("expect"), "expect", offset: 0) } }

    init(_ name: String) throws {
        self.name = name
        let text = try FormatVectorTests.bytes(of: "vectors/\(name).json")
        about = try JSONFields(try JSONParser.parse(text[...]), name, offset: 0)
        kind = try about.string("kind")
        bytes = try FormatVectorTests.bytes(of: "vectors/\(name).bin")
    }

    /// All vectors of a folder and kind. A vector that cannot be loaded fails the test run: nothing may go missing.
    static func all(_ folder: String, _ kind: String) -> [Vector] {
        let path = formats.appending(path: "vectors/\(folder)").path
        guard let files = try? FileManager.default.contentsOfDirectory(atPath: path) else { fatalError("no \(path)") }
        let names = files.filter { $0.hasPrefix("\(kind)-") && $0.hasSuffix(".json") }.map { $0.dropLast(5) }.sorted()
        precondition(!names.isEmpty, "no vectors \(folder)/\(kind)-*")
        return names.map { name in
            do { return try Vector("\(folder)/\(name)") } catch { fatalError("vector \(folder)/\(name): \(error)") }
        }
    }
}

/// The members of `fields` with these keys, in this order, as text: equal values give equal bytes.
func canonical(_ fields: JSONFields, _ keys: [String]) throws -> String {
    String(decoding: JSONValue.object(try keys.map { .init($0, try fields.value($0)) }).text, as: UTF8.self)
}

func canonical(_ value: JSONValue) -> String { String(decoding: value.text, as: UTF8.self) }

func hexadecimal(_ hash: UInt64) -> JSONValue {
    let digits = String(hash, radix: 16)
    return .string(String(repeating: "0", count: 16 - digits.count) + digits)
}
