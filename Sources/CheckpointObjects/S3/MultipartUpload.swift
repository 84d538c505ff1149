internal import CheckpointIO
internal import NIOCore

/// The upload of one object in parts. Aborted, so that nothing is left that costs, if it fails.
struct MultipartUpload {
    private let client: S3Client
    /// The key within the bucket.
    private let key: String
    private let partCount: Int

    init(_ client: S3Client, _ key: String, partCount: Int) {
        self.client = client
        self.key = key
        self.partCount = partCount
    }

    /// Uploads all parts.
    ///
    /// - Parameters:
    ///   - threads: number of parts in flight.
    ///   - part: returns the bytes of a part, from 0, and their MD5; any thread.
    /// - Returns: false if the store no longer knows the upload: the object must be compared.
    func run(
        threads: Int,
        part: @escaping @Sendable (Int) throws(ObjectStoreError) -> (ByteBuffer, md5: String)
    ) throws(ObjectStoreError) -> Bool {
        let upload = try begin()
        do {
            let (client, key) = (client, key)
            let tags = try ParallelMap.run(
                partCount, name: "ckpt-upload", threadsMax: threads, callsPerThread: 1
            ) { number throws(ObjectStoreError) in
                let (body, md5) = try part(number)
                let outcome = client.send(
                    S3Request(
                        method: "PUT", key: key,
                        query: [("partNumber", "\(number + 1)"), ("uploadId", upload)],
                        headers: [("content-md5", md5)], body: body))
                guard case .answered(let answer, _) = outcome, answer.verdict == .success,
                    let tag = answer.headers["etag"]
                else { throw outcome.error("PUT", key) }
                return tag
            }
            return try complete(upload, tags)
        } catch {
            // What cannot be aborted is a leaving, which costs and does no harm.
            _ = client.send(
                S3Request(method: "DELETE", key: key, query: [("uploadId", upload)]))
            throw error
        }
    }

    private func begin() throws(ObjectStoreError) -> String {
        let outcome = client.send(S3Request(method: "POST", key: key, query: [("uploads", "")]))
        guard case .answered(let answer, _) = outcome, answer.verdict == .success else {
            throw outcome.error("POST", key)
        }
        guard let upload = XMLElement(decoding: answer.body)?["UploadId"], !upload.isEmpty else {
            throw ObjectStoreError(.failed, "POST", key, "the response has no upload id")
        }
        return upload
    }

    private func complete(
        _ upload: String, _ tags: [String]
    ) throws(ObjectStoreError) -> Bool {
        let parts = tags.enumerated().map { number, tag in
            "<Part><PartNumber>\(number + 1)</PartNumber><ETag>\(Self.escaped(tag))</ETag></Part>"
        }
        let body = "<CompleteMultipartUpload>\(parts.joined())</CompleteMultipartUpload>"
        let outcome = client.send(
            S3Request(
                method: "POST", key: key, query: [("uploadId", upload)],
                headers: [("content-type", "application/xml")], body: ByteBuffer(string: body)))
        guard case .answered(let answer, _) = outcome else { throw outcome.error("POST", key) }
        switch answer.verdict {
        case .success: return true
        // A repeated request, whose first answer was lost; or nobody has completed it.
        case .notFound: return false
        default: throw outcome.error("POST", key)
        }
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
    }
}
