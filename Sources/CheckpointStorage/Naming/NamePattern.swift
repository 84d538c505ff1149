/// A pattern for names: `*` matches any characters, `?` matches one, any other character itself.
public struct NamePattern: Sendable, CustomStringConvertible {
    public let description: String
    private let pattern: [Character]

    /// Creates a pattern; every text is valid.
    ///
    /// - Parameter text: the pattern.
    public init(_ text: String) {
        description = text
        pattern = Array(text)
    }

    /// Returns true if the pattern matches all of `name`.
    ///
    /// Compares from left to right; after a mismatch, the last star takes one more character.
    ///
    /// - Parameter name: the name to compare.
    /// - Returns: true if it matches.
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
