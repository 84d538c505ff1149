/// A 16-byte identifier, printed as 32 lower-case hexadecimal digits (Formats/README.md,
/// Conventions).
public protocol Identifier: RawRepresentable<UInt128>, Hashable, Sendable, Comparable, CustomStringConvertible {
    init(rawValue: UInt128)
}

extension Identifier {
    public var description: String { Hexadecimal.string(of: rawValue) }

    /// Parses exactly 32 lower-case hexadecimal digits.
    ///
    /// - Parameter text: The digits.
    /// - Returns: Nil if `text` is anything else.
    public init?(_ text: some StringProtocol) {
        guard let value = Hexadecimal.value(of: text) else { return nil }
        self.init(rawValue: value)
    }

    /// Returns a random identifier other than 0.
    package static func random() -> Self { Self(rawValue: .random(in: 1...UInt128.max)) }

    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}
