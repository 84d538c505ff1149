/// The name of a tensor, an object, a storage or a file as its UTF-8 bytes: what to compare, sort
/// and look up names by.
///
/// Swift treats strings as equal that spell an accented letter in different ways ("é" is one scalar
/// or two). A checkpoint and the libraries that wrote it do not: these are two names.
package struct ByteName: Hashable, Comparable, Sendable, CustomStringConvertible {
    private let bytes: [UInt8]

    package init(_ name: some StringProtocol) { bytes = Array(name.utf8) }

    package var description: String { String(decoding: bytes, as: UTF8.self) }

    package static func < (a: Self, b: Self) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
}

extension String {
    /// Returns whether two names are the same, as `ByteName` compares them, without making one.
    package func isSameName(as other: String) -> Bool {
        // Most pairs differ in length or as text, which takes less time to see.
        guard utf8.count == other.utf8.count, self == other else { return false }
        let (some, others) = (utf8.span, other.utf8.span)
        return some.indices.allSatisfy { some[$0] == others[$0] }
    }

    /// Returns whether this name sorts before another, as `ByteName` sorts, without making one.
    package func precedesName(_ other: String) -> Bool {
        utf8.lexicographicallyPrecedes(other.utf8)
    }
}
