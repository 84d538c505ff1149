/// Reads the members of a JSON object by name, with an error that says which one is wrong.
package struct JSONFields {
    private let members: [String: JSONValue]
    private let context: String
    private let offset: Int

    /// - Parameters:
    ///   - context: what the object is, for messages: "tensor 3".
    ///   - offset: where the JSON text starts in the file.
    package init(_ value: JSONValue, _ context: String, offset: Int) throws(FormatError) {
        guard case .object(let list) = value else { throw .damage(at: offset, "JSON: \(context) is not an object") }
        self.members = Dictionary(list.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
        self.context = context
        self.offset = offset
    }

    package func error(_ message: String) -> FormatError { .damage(at: offset, "JSON: \(context): \(message)") }

    package func has(_ key: String) -> Bool { members[key] != nil }

    /// A value that may be null; the key must be there.
    package func nullable(_ key: String) throws(FormatError) -> JSONValue? {
        let value = try value(key)
        return value == .null ? nil : value
    }

    package func value(_ key: String) throws(FormatError) -> JSONValue {
        guard let value = members[key] else { throw error("\(key) is missing") }
        return value
    }

    package func string(_ key: String) throws(FormatError) -> String {
        guard case .string(let string) = try value(key) else { throw error("\(key) is not a string") }
        return string
    }

    package func identifier<I: Identifier>(_ key: String, _: I.Type = I.self) throws(FormatError) -> I {
        guard let identifier = I(try string(key)) else { throw error("\(key) is not 32 hexadecimal digits") }
        return identifier
    }

    package func count(_ key: String, atMost limit: Int = .max) throws(FormatError) -> Int {
        guard case .integer(let integer) = try value(key), integer >= 0, integer <= Int64(limit) else {
            throw error("\(key) is not an integer from 0 to \(limit)")
        }
        return Int(integer)
    }

    package func array(_ key: String, atMost limit: Int) throws(FormatError) -> [JSONValue] {
        guard case .array(let elements) = try value(key) else { throw error("\(key) is not an array") }
        guard elements.count <= limit else { throw error("\(key) has \(elements.count) elements, more than \(limit)") }
        return elements
    }

    package func counts(_ key: String, atMost limit: Int) throws(FormatError) -> [Int] {
        var counts: [Int] = []
        for element in try array(key, atMost: limit) {
            guard case .integer(let integer) = element, integer >= 0 else {
                throw error("\(key) holds something that is not an integer from 0 up")
            }
            counts.append(Int(integer))
        }
        return counts
    }

    package func strings(_ key: String, atMost limit: Int) throws(FormatError) -> [String] {
        var strings: [String] = []
        for element in try array(key, atMost: limit) {
            guard case .string(let string) = element else { throw error("\(key) holds something that is not a string") }
            strings.append(string)
        }
        return strings
    }

    /// A name: 1 ... `nameBytesMax` bytes.
    package func name(_ key: String) throws(FormatError) -> String {
        let name = try string(key)
        guard (1...Limits.nameBytesMax).contains(name.utf8.count) else {
            throw error("\(key) has \(name.utf8.count) bytes, not 1 to \(Limits.nameBytesMax)")
        }
        return name
    }
}
