/// A user's name for a checkpoint (Formats/store-layout.md, Tags and pins). It is a valid file
/// name, and has no other meaning as a reference to a checkpoint.
public struct TagName: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let description: String

    /// The reason for which a text is not a valid tag.
    public struct Refusal: Error, CustomStringConvertible {
        public let description: String
    }

    /// Creates a tag name; nil if `text` is not valid.
    ///
    /// - Parameter text: 1 to 128 ASCII letters, digits, `.`, `_` and `-`.
    public init?(_ text: String) {
        do throws(Refusal) { try self.init(checking: text) } catch { return nil }
    }

    /// Creates a tag name.
    ///
    /// - Parameter text: 1 to 128 ASCII letters, digits, `.`, `_` and `-`.
    /// - Throws: `Refusal` with the reason if `text` is not valid.
    public init(checking text: String) throws(Refusal) {
        if let reason = Self.refusal(of: Array(text.utf8)) {
            throw Refusal(
                description:
                    "\(text.utf8.count > Limits.tagBytesMax ? "the text" : "\"\(text)\"") cannot be a tag: \(reason)"
            )
        }
        description = text
    }

    public static func < (a: Self, b: Self) -> Bool { a.description < b.description }

    private static func refusal(of bytes: [UInt8]) -> String? {
        guard let first = bytes.first, bytes.count <= Limits.tagBytesMax else {
            return "it must have 1 to \(Limits.tagBytesMax) characters"
        }
        guard bytes.allSatisfy({ isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") })
        else {
            return "it may contain only ASCII letters and digits, and . _ -"
        }
        guard isWord(first) else { return "it must begin with a letter, a digit or _" }
        if zip(bytes, bytes.dropFirst()).contains(where: {
            $0 == UInt8(ascii: ".") && $1 == UInt8(ascii: ".")
        }) {
            return "it contains .."
        }
        return meaning(of: bytes).map { "it would mean \($0)" }
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        isDigit(byte) || byte == UInt8(ascii: "_")
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    /// Returns the other meaning that a reference with this text has: `latest`, a step or the first
    /// digits of an id; nil if there is none.
    private static func meaning(of bytes: [UInt8]) -> String? {
        if bytes == Array("latest".utf8) { return "the newest checkpoint" }
        let isStep = bytes.starts(with: "step-".utf8) || bytes.starts(with: "step_".utf8)
        if bytes.dropFirst(isStep ? 5 : 0).allSatisfy(isDigit) { return "a step" }
        let isHexadecimal = bytes.allSatisfy {
            isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
        }
        return isHexadecimal && (4...32).contains(bytes.count) ? "the first digits of an id" : nil
    }
}
