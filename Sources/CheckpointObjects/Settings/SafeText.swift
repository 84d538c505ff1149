/// Checks and shortens text from settings and other services before it is sent or shown.
enum SafeText {
    /// Returns true if a text can be the value of an HTTP header: printable ASCII, not too long.
    static func isHeaderValue(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 16_384
            && text.utf8.allSatisfy { (0x20...0x7e).contains($0) }
    }

    /// Returns true if a text consists of letters, digits and some other characters of ASCII.
    ///
    /// - Parameters:
    ///   - text: the text.
    ///   - others: the other characters that are allowed.
    ///   - longest: the greatest length in bytes.
    static func isName(_ text: String, others: String = "-_.", longest: Int = 128) -> Bool {
        !text.isEmpty && text.utf8.count <= longest
            && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || others.contains($0)) }
    }

    /// Returns text of another service in a form for an error: one line, at most 200 characters.
    ///
    /// - Parameters:
    ///   - text: the text.
    ///   - secrets: what was sent to the service. A text that repeats any of it is not shown.
    /// - Returns: the text; empty if it may not be shown.
    static func shown(_ text: String, hiding secrets: [String]) -> String {
        guard !secrets.contains(where: { !$0.isEmpty && text.contains($0) }) else { return "" }
        let line = text.unicodeScalars.prefix(200).map { scalar in
            scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value) ? " " : String(scalar)
        }
        return line.joined().split(separator: " ").joined(separator: " ")
    }

    /// Returns text without the white space at its ends.
    static func trimmed(_ text: some StringProtocol) -> String {
        let start = text.drop { $0.isWhitespace }
        guard let last = start.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(start[...last])
    }
}
