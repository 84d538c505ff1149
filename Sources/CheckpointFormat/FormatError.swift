/// What is wrong with bytes that were to be decoded, and where.
package struct FormatError: Error, Equatable, CustomStringConvertible {
    package enum Kind: String, Sendable {
        /// The bytes break a rule of the specification.
        case damage
        /// The bytes are of a version, feature or codec that this software does not know.
        case unsupported
    }

    package var kind: Kind
    /// Offset in the file, in bytes.
    package var offset: Int
    /// The rule that is broken, as a phrase: "magic is wrong", "blockCount 7 does not fit".
    package var message: String

    package static func damage(at offset: Int, _ message: String) -> FormatError {
        FormatError(kind: .damage, offset: offset, message: message)
    }

    package static func unsupported(at offset: Int, _ message: String) -> FormatError {
        FormatError(kind: .unsupported, offset: offset, message: message)
    }

    package var description: String { "\(kind.rawValue) at offset \(offset): \(message)" }
}
