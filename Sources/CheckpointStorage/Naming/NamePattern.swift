/// A name pattern: `*` stands for any characters, `?` for one; all others for themselves.
public struct NamePattern: Sendable, CustomStringConvertible {
    public let description: String
    private let pattern: [Character]

    /// Any text is a pattern.
    public init(_ text: String) {
        description = text
        pattern = Array(text)
    }

    /// Compares from left to right; after a mismatch the last star takes one character more.
    public func matches(_ name: String) -> Bool {
        let name = Array(name)
        var position = 0
        var next = 0
        var star: (next: Int, position: Int)?
        while position < name.count {
            if next < pattern.count, pattern[next] == "*" {
                star = (next + 1, position)
                next += 1
            } else if next < pattern.count, pattern[next] == "?" || pattern[next] == name[position] {
                position += 1
                next += 1
            } else if let last = star {
                (next, position) = (last.next, last.position + 1)
                star = (next, position)
            } else {
                return false
            }
        }
        return pattern[next...].allSatisfy { $0 == "*" }
    }
}
