/// A file of settings in the format of the AWS tools: sections in brackets, `key = value`, and
/// nested keys on indented lines. Read with the rules of Python's `configparser`, as botocore does.
struct INIDocument: Sendable {
    /// The sections by their names, as they stand between the brackets.
    private(set) var sections: [String: [String: INIValue]] = [:]

    /// Reads a file.
    ///
    /// - Parameters:
    ///   - bytes: the content of the file.
    ///   - file: name of the file for people.
    /// - Throws: `SettingsError`, with the line, for text that is not in this format.
    init(_ bytes: [UInt8], file: String) throws(SettingsError) {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw SettingsError(file, "not text in UTF-8", "Save the file as UTF-8")
        }
        var reader = Reader(file: file)
        var lines = text[...]
        if lines.hasPrefix("\u{feff}") { lines.removeFirst() }
        for line in lines.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            try reader.read(line)
        }
        try reader.finishValue()
        sections = reader.sections
    }

    private struct Reader {
        let file: String
        var sections: [String: [String: INIValue]] = [:]
        private var line = 0
        private var section: String?
        /// The key that continuation lines belong to, with its line, and what it has so far.
        private var key: String?
        private var keyLine = 0
        private var parts: [String] = []
        private var indent = 0

        init(file: String) { self.file = file }

        mutating func read(_ raw: Substring) throws(SettingsError) {
            line += 1
            let text = SafeText.trimmed(raw)
            if text.hasPrefix("#") || text.hasPrefix(";") { return }
            if text.isEmpty {
                // An empty line does not end a value.
                if key != nil { parts.append("") }
                return
            }
            let depth = raw.prefix { $0.isWhitespace }.count
            if key != nil, depth > indent {
                parts.append(text)
                return
            }
            indent = depth
            try finishValue()
            if text.hasPrefix("["), let end = text.lastIndex(of: "]") {
                try start(section: String(text[..<end].dropFirst()))
            } else {
                try start(value: text)
            }
        }

        private mutating func start(section name: String) throws(SettingsError) {
            guard !name.isEmpty else { throw error("the name of a section is missing") }
            guard sections[name] == nil else {
                throw error("this section occurs twice in the file")
            }
            sections[name] = [:]
            section = name
        }

        private mutating func start(value text: String) throws(SettingsError) {
            guard section != nil else {
                throw error("there is no [section] before this line")
            }
            guard let mark = text.firstIndex(where: { $0 == "=" || $0 == ":" }) else {
                throw error("the line is neither `key = value` nor a [section]")
            }
            let name = SafeText.trimmed(text[..<mark]).lowercased()
            guard !name.isEmpty else { throw error("the key before = is missing") }
            key = name
            keyLine = line
            parts = [SafeText.trimmed(text[text.index(after: mark)...])]
        }

        /// Stores the value that no further line continues.
        mutating func finishValue() throws(SettingsError) {
            guard let section, let key else { return }
            while parts.count > 1, parts.last == "" { parts.removeLast() }
            let value = INIValue(
                text: parts.joined(separator: "\n"), nested: try nested(), file: file,
                line: keyLine)
            self.key = nil
            // The key is not repeated in the message: on a malformed line it may be a secret.
            guard sections[section]?.updateValue(value, forKey: key) == nil else {
                throw error("the same key occurs twice in one section", line: keyLine)
            }
        }

        /// Reads the lines below `key =` as keys of their own.
        private func nested() throws(SettingsError) -> [String: String] {
            var values: [String: String] = [:]
            guard parts.first == "", parts.count > 1 else { return values }
            for part in parts where !part.isEmpty {
                guard let mark = part.firstIndex(of: "=") else {
                    throw error(
                        "an indented line below this key is not `key = value`", line: keyLine)
                }
                values[SafeText.trimmed(part[..<mark])] =
                    SafeText.trimmed(part[part.index(after: mark)...])
            }
            return values
        }

        private func error(_ problem: String, line: Int? = nil) -> SettingsError {
            SettingsError("\(file), line \(line ?? self.line)", problem, "Correct the line")
        }
    }
}

extension INIDocument: CustomStringConvertible, CustomReflectable {
    var description: String { "INIDocument(\(sections.count) sections)" }
    var customMirror: Mirror { Mirror(self, children: [("sections", sections.count)]) }
}
