internal import CheckpointIO

/// An upload in parts to a bucket.
struct S3StreamedUpload: StreamedUpload {
    private let objects: S3ObjectStore
    private let key: String
    private let multipart: MultipartUpload

    /// Begins an upload.
    init(_ objects: S3ObjectStore, _ key: String) throws(ObjectStoreError) {
        (self.objects, self.key) = (objects, key)
        multipart = try objects.beginMultipart(key)
    }

    func send(
        _ number: Int, from source: any ReadableFile, _ range: Range<Int>
    ) throws(ObjectStoreError) {
        try multipart.send(number, try objects.body(of: key, from: source, range))
    }

    func complete(byteCount: Int) throws(ObjectStoreError) {
        try objects.confirm(key, try multipart.complete(), byteCount: byteCount)
    }

    func abort() { multipart.abort() }
}
