/// Suggestions for a mistyped name. Pure functions.
package enum Nearest {
    /// Maximum length of a name that is compared completely, in bytes. A longer one resembles
    /// nothing that a person types.
    private static let lengthMax = 256

    /// Returns the names with the smallest edit distance to a text (Levenshtein 1966: insert,
    /// delete or replace one byte).
    ///
    /// - Parameters:
    ///   - text: the text as typed.
    ///   - names: the existing names.
    ///   - count: maximum number of results.
    /// - Returns: names, nearest first.
    package static func byDistance(_ text: String, _ names: [String], atMost count: Int = 3) -> [String] {
        let wanted = Array(text.utf8.prefix(lengthMax))
        let distances = names.filter { $0.utf8.count <= lengthMax }.map { ($0, distance(wanted, Array($0.utf8))) }
        return distances.sorted { ($0.1, $0.0) < ($1.1, $1.0) }.prefix(count).map(\.0)
    }

    /// Returns the edit distance between two byte strings.
    package static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let next = min(row[j] + 1, row[j + 1] + 1, diagonal + (x == y ? 0 : 1))
                (diagonal, row[j + 1]) = (row[j + 1], next)
            }
        }
        return row[b.count]
    }

    /// Returns the names that share the longest prefix with a text.
    ///
    /// - Parameters:
    ///   - text: the text as typed.
    ///   - names: the existing names.
    ///   - count: maximum number of results.
    /// - Returns: names that share at least one byte, longest shared prefix first.
    package static func byPrefix(_ text: String, _ names: [String], atMost count: Int = 3) -> [String] {
        let shared = names.map { ($0, zip($0.utf8, text.utf8).prefix { $0 == $1 }.count) }.filter { $0.1 > 0 }
        return shared.sorted { ($1.1, $0.0) < ($0.1, $1.0) }.prefix(count).map(\.0)
    }
}
