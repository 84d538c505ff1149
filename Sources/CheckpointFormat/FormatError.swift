/// An error in encoded bytes: its kind, its offset and the broken rule.
package struct FormatError: Error, Equatable, CustomStringConvertible {
    package enum Kind: String, Sendable {
        /// The bytes break a rule of the specification.
        case damage
        /// The bytes have a version, feature or codec that this software does not implement.
        case unsupported
    }

    package var kind: Kind
    /// Offset in the file, in bytes.
    package var offset: Int
    /// The broken rule, as a phrase: "rawBytes is 0", "block at 4096 runs into the index".
    package var message: String

    package static func damage(at offset: Int, _ message: String) -> FormatError {
        FormatError(kind: .damage, offset: offset, message: message)
    }

    package static func unsupported(at offset: Int, _ message: String) -> FormatError {
        FormatError(kind: .unsupported, offset: offset, message: message)
    }

    package var description: String { "\(kind.rawValue) at offset \(offset): \(message)" }
}
