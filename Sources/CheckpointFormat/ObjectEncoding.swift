/// Encoding of an object's bytes.
public enum ObjectEncoding: String, Sendable, CaseIterable, Hashable {
    /// UTF-8 JSON.
    case json
    /// Bytes in a form that only the training program knows.
    case bytes
}
