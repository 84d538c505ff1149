/// A value of a file of settings. Never printed, because it may be a secret.
struct INIValue: Sendable, CustomStringConvertible, CustomReflectable {
    /// The text after `=`, with the lines that continue it.
    var text: String
    /// The keys on the indented lines below, if the text after `=` is empty.
    var nested: [String: String]
    /// Name of the file for people.
    var file: String
    /// Number of the line, from 1.
    var line: Int

    var description: String { "value at \(file), line \(line)" }
    var customMirror: Mirror {
        Mirror(self, children: [("file", file as Any), ("line", line as Any)])
    }
}
