package import CheckpointIO

/// An object that is uploaded in parts while it is still being written. Must end by `complete` or
/// `abort`, or else parts are left that cost.
///
/// All calls wait for the answer. `send` may be called by several threads at once, and the others
/// after it has returned.
package protocol StreamedUpload: Sendable {
    /// Sends a part. All parts but the last have the size `ObjectStore.streamedPartBytes`.
    ///
    /// - Parameters:
    ///   - number: its number, from 0; in any order.
    ///   - source: the file that has its bytes.
    ///   - range: where they are in the file.
    func send(
        _ number: Int, from source: any ReadableFile, _ range: Range<Int>
    ) throws(ObjectStoreError)

    /// Creates the object from the parts, whatever is there. The bytes are compared by the store,
    /// or read back.
    ///
    /// - Parameter byteCount: size of the object; the parts sent must have exactly so many bytes.
    func complete(byteCount: Int) throws(ObjectStoreError)

    /// Gives the upload up.
    func abort()
}
