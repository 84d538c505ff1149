package import CheckpointFormat

/// Stored bytes that do not decode to the expected bytes.
package struct CodecError: Error, Equatable, CustomStringConvertible {
    package var codec: CodecIdentifier
    package var message: String

    package init(_ codec: CodecIdentifier, _ message: String) {
        self.codec = codec
        self.message = message
    }

    package var description: String { "\(codec.name): \(message)" }
}
