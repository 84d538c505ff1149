/// A writer of compact JSON.
struct JSONWriter {
    var bytes: [UInt8] = []

    mutating func write(_ value: JSONValue) {
        switch value {
        case .null: append("null")
        case .bool(let flag): append(flag ? "true" : "false")
        case .integer(let integer): append(String(integer))
        case .number(let number): append(Self.text(of: number))
        case .string(let string): write(string: string)
        case .array(let elements):
            list("[", elements, "]") { $0.write($1) }
        case .object(let members):
            list("{", members, "}") { $0.write($1) }
        }
    }

    mutating func write(_ member: JSONValue.Member) {
        write(string: member.key)
        append(":")
        write(member.value)
    }

    /// Returns the text of a finite number. Swift prints the shortest text that reads back as the
    /// same number, and it is always valid JSON.
    static func text(of number: Double) -> String {
        precondition(number.isFinite, "JSON has no infinite numbers; use JSONValue.metric")
        return number.description
    }

    mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func list<T>(_ open: String, _ items: [T], _ close: String, _ each: (inout JSONWriter, T) -> Void) {
        append(open)
        for (index, item) in items.enumerated() {
            if index > 0 { append(",") }
            each(&self, item)
        }
        append(close)
    }

    mutating func write(string: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""): append("\\\"")
            case UInt8(ascii: "\\"): append("\\\\")
            case 0..<0x20:
                let digits = String(byte, radix: 16)
                append("\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
