/// The number of columns that a terminal needs for a text (Unicode Standard Annex 11: wide
/// characters take two).
enum DisplayWidth {
    /// Returns the width of a text.
    static func of(_ text: String) -> Int { text.reduce(0) { $0 + of($1) } }

    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF,
        0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD,
    ]

    private static func of(_ character: Character) -> Int {
        guard let first = character.unicodeScalars.first else { return 0 }
        if first.value < 0x1100 { return 1 }
        return wide.contains { $0.contains(first.value) } ? 2 : 1
    }

    /// Shortens a text to a width by taking out a part: names differ at both ends.
    ///
    /// - Parameters:
    ///   - text: the text.
    ///   - width: the width of the result, at most.
    ///   - head: the width of what stays before the part taken out; nil: half of the rest.
    static func shortened(_ text: String, to width: Int, head limit: Int? = nil) -> String {
        guard of(text) > width else { return text }
        guard width > 1 else { return String(repeating: "…", count: max(width, 0)) }
        let head = prefix(of: text, width: min(limit ?? width / 2, width - 1))
        let rest = width - 1 - of(head)
        let tail = prefix(of: String(text.reversed()), width: rest)
        return head + "…" + tail.reversed()
    }

    /// Returns the width of the head with which most of a column's texts stay different, nearest to
    /// the middle.
    static func bestHead(_ texts: some Collection<String>, width: Int) -> Int {
        let long = Set(texts).prefix(200)
        let heads = (0..<max(width, 1)).sorted { abs(2 * $0 - width) < abs(2 * $1 - width) }
        var best = (head: width / 2, count: 0)
        for head in heads where best.count < long.count {
            let count = Set(long.map { shortened($0, to: width, head: head) }).count
            if count > best.count { best = (head, count) }
        }
        return best.head
    }

    /// Shortens a text to whole words. If the first one is too long already, what follows its `=`
    /// is left out.
    static func words(_ text: String, to width: Int) -> String {
        guard of(text) > width else { return text }
        guard width > 1 else { return String(repeating: "…", count: max(width, 0)) }
        var shown = ""
        for word in text.split(separator: " ") {
            guard of(shown) + of(String(word)) + (shown.isEmpty ? 1 : 2) <= width else { break }
            shown += (shown.isEmpty ? "" : " ") + word
        }
        guard shown.isEmpty else { return shown + "…" }
        let name = text.contains("=") ? text.prefix { $0 != "=" } + "=" : text[...]
        return prefix(of: String(name), width: width - 1) + "…"
    }

    private static func prefix(of text: String, width: Int) -> String {
        var (prefix, left) = ("", width)
        for character in text {
            left -= of(character)
            guard left >= 0 else { break }
            prefix.append(character)
        }
        return prefix
    }
}
