/// Typed access to the members of a JSON object. Errors name the object and the member.
package struct JSONFields {
    private let members: [JSONValue.Member]
    private let context: String
    private let offset: Int

    /// Takes the members of a JSON object.
    ///
    /// - Parameters:
    ///   - value: The object.
    ///   - context: Name of the object for error messages, such as "tensor 3".
    ///   - offset: Offset in the file of the JSON text, for error messages.
    /// - Throws: Damage if `value` is not an object.
    package init(_ value: JSONValue, _ context: String, offset: Int) throws(FormatError) {
        guard case .object(let list) = value else { throw .damage(at: offset, "JSON: \(context) is not an object") }
        self.members = list
        self.context = context
        self.offset = offset
    }

    /// Returns a damage error at the offset of the JSON text, with the object's name before the
    /// message.
    package func error(_ message: String) -> FormatError { .damage(at: offset, "JSON: \(context): \(message)") }

    /// Returns true if the object has the member, even if the value is null.
    package func has(_ key: String) -> Bool { index(of: key) != nil }

    /// Objects have few members, in which a search takes less time than making a dictionary.
    private func index(of key: String) -> Int? {
        members.indices.first { members[$0].key.isSameName(as: key) }
    }

    /// Returns the value of a member, or nil if the value is null.
    ///
    /// - Throws: Damage if the object has no such member.
    package func nullable(_ key: String) throws(FormatError) -> JSONValue? {
        let value = try value(key)
        return value == .null ? nil : value
    }

    /// Returns the value of a member.
    ///
    /// - Throws: Damage if the object has no such member.
    package func value(_ key: String) throws(FormatError) -> JSONValue {
        guard let index = index(of: key) else { throw error("\(key) is missing") }
        return members[index].value
    }

    /// Returns the value of a member that must be a string.
    ///
    /// - Throws: Damage if the member is missing or not a string.
    package func string(_ key: String) throws(FormatError) -> String {
        guard case .string(let string) = try value(key) else { throw error("\(key) is not a string") }
        return string
    }

    /// Returns the value of a member that must be an identifier.
    ///
    /// - Throws: Damage if the member is missing or not 32 lower-case hexadecimal digits.
    package func identifier<I: Identifier>(_ key: String, _: I.Type = I.self) throws(FormatError) -> I {
        guard let identifier = I(try string(key)) else { throw error("\(key) is not 32 hexadecimal digits") }
        return identifier
    }

    /// Returns the value of a member that must be an integer.
    ///
    /// - Parameters:
    ///   - key: Name of the member.
    ///   - limit: The largest valid value.
    /// - Returns: An integer from 0 to `limit`.
    /// - Throws: Damage if the member is missing, not an integer or out of range.
    package func count(_ key: String, atMost limit: Int = .max) throws(FormatError) -> Int {
        guard case .integer(let integer) = try value(key), integer >= 0, integer <= Int64(limit) else {
            throw error("\(key) is not an integer from 0 to \(limit)")
        }
        return Int(integer)
    }

    /// Returns the value of a member that must be an array.
    ///
    /// - Parameters:
    ///   - key: Name of the member.
    ///   - limit: Maximum number of elements.
    /// - Returns: The elements.
    /// - Throws: Damage if the member is missing, not an array or too long.
    package func array(_ key: String, atMost limit: Int) throws(FormatError) -> [JSONValue] {
        guard case .array(let elements) = try value(key) else { throw error("\(key) is not an array") }
        guard elements.count <= limit else { throw error("\(key) has \(elements.count) elements, more than \(limit)") }
        return elements
    }

    /// Returns the value of a member that must be an array of integers from 0 up.
    ///
    /// - Parameters:
    ///   - key: Name of the member.
    ///   - limit: Maximum number of elements.
    /// - Returns: The integers.
    /// - Throws: Damage if the member is missing, too long or holds anything else.
    package func counts(_ key: String, atMost limit: Int) throws(FormatError) -> [Int] {
        var counts: [Int] = []
        for element in try array(key, atMost: limit) {
            guard case .integer(let integer) = element, integer >= 0 else {
                throw error("\(key) has an element that is not an integer of at least 0")
            }
            counts.append(Int(integer))
        }
        return counts
    }

    /// Returns the value of a member that must be an array of strings.
    ///
    /// - Parameters:
    ///   - key: Name of the member.
    ///   - limit: Maximum number of elements.
    /// - Returns: The strings.
    /// - Throws: Damage if the member is missing, too long or holds anything else.
    package func strings(_ key: String, atMost limit: Int) throws(FormatError) -> [String] {
        var strings: [String] = []
        for element in try array(key, atMost: limit) {
            guard case .string(let string) = element else { throw error("\(key) has an element that is not a string") }
            strings.append(string)
        }
        return strings
    }

    /// Returns the value of a member that must be a name of 1 to `nameBytesMax` bytes.
    ///
    /// - Throws: Damage if the member is missing, not a string, empty or too long.
    package func name(_ key: String) throws(FormatError) -> String {
        let name = try string(key)
        guard (1...Limits.nameBytesMax).contains(name.utf8.count) else {
            throw error("\(key) has \(name.utf8.count) bytes, not 1 to \(Limits.nameBytesMax)")
        }
        return name
    }
}
