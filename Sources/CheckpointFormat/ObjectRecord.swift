/// An object in a manifest: state that is not a tensor.
package struct ObjectRecord: Equatable, Sendable {
    package var name: String
    package var role: ObjectRole
    package var encoding: ObjectEncoding
    package var bytes: Int
    /// Rows of the chunk table that hold the object, in order.
    package var chunks: Range<Int>
    /// In the manifest of a checkpoint of several ranks, the rank whose part has the object.
    package var rank: Int?

    package init(
        name: String, role: ObjectRole, encoding: ObjectEncoding, bytes: Int, chunks: Range<Int>
    ) {
        self.name = name
        self.role = role
        self.encoding = encoding
        self.bytes = bytes
        self.chunks = chunks
    }
}
