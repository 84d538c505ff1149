/// Name of the directory of a launch of several ranks: `HASH.launch`, the hash of the launch's name
/// (Formats/store-layout.md, Names).
package struct LaunchName: Hashable, Sendable, CustomStringConvertible {
    package var hash: Hash128

    private static let suffix = ".launch"

    package init(_ hash: Hash128) { self.hash = hash }

    /// Parses a directory's name; nil for any other name.
    package init?(_ text: String) {
        guard text.hasSuffix(Self.suffix), let hash = Hash128(text.dropLast(Self.suffix.count))
        else { return nil }
        self.hash = hash
    }

    package var description: String { "\(hash)\(Self.suffix)" }
}
