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

    /// Shortens a text to a width by taking out its middle: names differ at both ends.
    static func shortened(_ text: String, to width: Int) -> String {
        guard of(text) > width else { return text }
        guard width > 1 else { return String(repeating: "…", count: max(width, 0)) }
        var (head, tail) = ("", "")
        var left = width - 1
        var (front, back) = (text[...], text[...])
        while let next = front.first, of(next) <= left {
            head.append(front.removeFirst())
            left -= of(next)
            guard let last = back.last, of(last) <= left else { break }
            tail = String(back.removeLast()) + tail
            left -= of(last)
        }
        return head + "…" + tail
    }
}
