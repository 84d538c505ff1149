/// The settings of one profile, from both files. Never printed, because some of them are secrets.
package struct Profile: Sendable, CustomStringConvertible, CustomReflectable {
    package let name: String
    var values: [String: INIValue] = [:]

    /// Returns a value; nil if it is missing or empty.
    ///
    /// - Parameter key: name of the key in lower case.
    subscript(_ key: String) -> String? {
        guard let value = values[key], !value.text.isEmpty else { return nil }
        return value.text
    }

    /// Returns a value and its place; nil if it is missing or empty.
    ///
    /// - Parameter key: name of the key in lower case.
    func sourced(_ key: String) -> Sourced<String>? {
        self[key].map { Sourced($0, source: place(of: key)) }
    }

    /// Returns a nested value, such as `addressing_style` in `s3`; nil if it is missing or empty.
    func sourced(_ key: String, in group: String) -> Sourced<String>? {
        guard let value = values[group]?.nested[key], !value.isEmpty else { return nil }
        return Sourced(value, source: place(of: group))
    }

    /// Returns the place of a key for people.
    func place(of key: String) -> String {
        "profile \(name)" + (values[key].map { " in \($0.file)" } ?? "")
    }

    package var description: String { "Profile(\(name))" }
    package var customMirror: Mirror {
        Mirror(self, children: [("name", name as Any), ("keys", values.keys.sorted() as Any)])
    }
}
