package import CheckpointIO

/// The few things that a store asks of the place where its objects lie. An object is immutable: it
/// is created once, read by ranges, and removed.
///
/// All calls wait for the answer, and may be made on any thread but those of an event loop or of
/// Swift's concurrency pool. A call that returns has happened; one that throws may have happened.
/// Implementations: S3 and in memory.
package protocol ObjectStore: Sendable {
    /// Creates an object if there is none with its key, in one step: of several that try at the
    /// same time, one succeeds. This is the only operation that a commit relies on.
    ///
    /// Where the answer is lost, the object is read back. A create that finds its own bytes there
    /// has succeeded.
    ///
    /// - Parameters:
    ///   - key: the key.
    ///   - content: the content, at most `createBytesMax` bytes.
    /// - Throws: `.exists` if there is an object with other content.
    func create(_ key: String, _ content: [UInt8]) throws(ObjectStoreError)

    /// Writes an object, whatever is there. The bytes are compared by the store, or read back.
    ///
    /// - Parameters:
    ///   - key: the key.
    ///   - source: the content, of any size; read in parts, by several threads at once.
    func upload(_ key: String, from source: any ReadableFile) throws(ObjectStoreError)

    /// Size of the parts in which an object may be uploaded while it is still being written, in
    /// bytes; nil if only whole files can be uploaded.
    var streamedPartBytes: Int? { get }

    /// Begins the upload of an object that is still being written. Called only if
    /// `streamedPartBytes` is not nil.
    ///
    /// - Parameter key: the key.
    func stream(_ key: String) throws(ObjectStoreError) -> any StreamedUpload

    /// Fills memory from a range of an object.
    ///
    /// - Parameters:
    ///   - bytes: the memory to fill.
    ///   - key: the key.
    ///   - offset: first byte of the range.
    /// - Throws: `.notFound`; `.failed` also if the object ends before.
    func read(
        into bytes: UnsafeMutableRawBufferPointer, from key: String, at offset: Int
    ) throws(ObjectStoreError)

    /// Returns the size of an object in bytes; nil if there is none.
    func size(of key: String) throws(ObjectStoreError) -> Int?

    /// Lists what lies directly below a prefix, as in a directory.
    ///
    /// - Parameters:
    ///   - prefix: empty, or ends with `/`.
    ///   - limit: maximum number of names; nil for all.
    func list(_ prefix: String, limit: Int?) throws(ObjectStoreError) -> ObjectListing

    /// Removes an object; succeeds if there is none.
    func remove(_ key: String) throws(ObjectStoreError)

    /// Makes durable what other processes have written directly below a prefix: one that was killed
    /// may not have done so. Objects of a bucket are durable when they are listed.
    ///
    /// - Parameter prefix: empty, or ends with `/`.
    func settle(_ prefix: String) throws(ObjectStoreError)

    /// How the place compares what it receives; nil if it is the memory or a disk of this machine.
    var transferCheck: TransferCheck? { get }

    /// Name of the place, for people: "s3://bucket/prefix".
    var description: String { get }
}

extension ObjectStore {
    package var transferCheck: TransferCheck? { nil }

    package var streamedPartBytes: Int? { nil }

    package func stream(_ key: String) throws(ObjectStoreError) -> any StreamedUpload {
        throw ObjectStoreError(.unsupported, "PUT", key, "only whole files can be uploaded")
    }

    package func settle(_ prefix: String) throws(ObjectStoreError) {}
}

extension ObjectStore {
    /// Maximum size of an object that is created in one step, in bytes.
    package static var createBytesMax: Int { 1 << 30 }

    /// Reads a range of an object.
    ///
    /// - Parameters:
    ///   - key: the key.
    ///   - offset: first byte of the range.
    ///   - count: number of bytes.
    /// - Throws: `.notFound`; `.failed` also if the object ends before.
    package func bytes(
        of key: String, at offset: Int = 0, count: Int
    ) throws(ObjectStoreError) -> [UInt8] {
        var failure: ObjectStoreError?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            do throws(ObjectStoreError) {
                let memory = UnsafeMutableRawBufferPointer(buffer)
                unsafe try read(
                    into: UnsafeMutableRawBufferPointer(rebasing: memory[..<count]), from: key,
                    at: offset)
                initialized = count
            } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }
}
