internal import NIOCore

/// A request to the store, before it is signed.
struct S3Request: Sendable {
    var method: String
    /// The key within the bucket, with the store's prefix; empty for the bucket itself.
    var key: String
    /// Names and values, not encoded.
    var query: [(String, String)] = []
    var headers: [(String, String)] = []
    var body: ByteBuffer?
}
