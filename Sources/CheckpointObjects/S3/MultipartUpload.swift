internal import CheckpointIO
internal import NIOCore

/// The upload of one object in parts, in any order. It has begun when it is created, and must end
/// by `complete` or `abort`, or else parts are left that cost.
///
/// `send` may be called by several threads at once, and the others after it has returned.
final class MultipartUpload: Sendable {
    private struct Part {
        var tag: String
        var digest: BodyDigest
        var isConfirmed: Bool
    }

    /// The object after the upload, as far as it is known.
    struct Sent {
        /// The digests of the parts, in order.
        var digests: [BodyDigest]
        /// False if the store may have other bytes: they must be read back.
        var isConfirmed: Bool
    }

    private let client: S3Client
    /// The key in the place, for errors.
    private let name: String
    /// The key within the bucket.
    private let key: String
    private let check: TransferCheck
    private let id: String
    private let parts = Monitor<[Int: Part]>([:])

    /// Begins an upload.
    ///
    /// - Parameters:
    ///   - client: the way to the bucket.
    ///   - name: the key in the place.
    ///   - location: the place.
    ///   - check: how the store compares the parts.
    init(
        _ client: S3Client, _ name: String, in location: S3Location, check: TransferCheck
    ) throws(ObjectStoreError) {
        (self.client, self.name, self.check) = (client, name, check)
        key = location.key(name)
        let outcome = client.send(
            S3Request(
                method: "POST", key: key, query: [("uploads", "")], headers: Self.headers(check)))
        guard case .answered(let answer, _) = outcome, answer.verdict == .success else {
            throw outcome.error("POST", name)
        }
        guard let id = XMLElement(decoding: answer.body)?["UploadId"], !id.isEmpty else {
            throw ObjectStoreError(.failed, "POST", name, "the response has no upload id")
        }
        self.id = id
    }

    /// The headers that announce the digests of the parts.
    private static func headers(_ check: TransferCheck) -> [(String, String)] {
        guard let algorithm = check.algorithm else { return [] }
        return [
            ("x-amz-checksum-algorithm", algorithm),
            ("x-amz-checksum-type", check.cyclic == nil ? "COMPOSITE" : "FULL_OBJECT"),
        ]
    }

    /// Sends a part.
    ///
    /// - Parameters:
    ///   - number: its number, from 0.
    ///   - body: its bytes.
    func send(_ number: Int, _ body: ByteBuffer) throws(ObjectStoreError) {
        let digest = BodyDigest(check, of: body)
        let outcome = client.send(
            S3Request(
                method: "PUT", key: key,
                query: [("partNumber", "\(number + 1)"), ("uploadId", id)],
                headers: digest.header.map { [$0] } ?? [], body: body))
        guard case .answered(let answer, _) = outcome, answer.verdict == .success,
            let tag = answer.headers["etag"]
        else { throw outcome.error("PUT", name) }
        let part = Part(tag: tag, digest: digest, isConfirmed: digest.isConfirmed(by: answer))
        parts.withLock { $0[number] = part }
    }

    /// Makes the object of the parts, all of which were sent.
    func complete() throws(ObjectStoreError) -> Sent {
        let numbered = parts.withLock { parts in parts.sorted { $0.key < $1.key } }
        precondition(numbered.map(\.key) == Array(numbered.indices), "a part was not sent")
        let parts = numbered.map(\.value)
        var sent = Sent(
            digests: parts.map(\.digest), isConfirmed: parts.allSatisfy(\.isConfirmed))
        let whole = BodyDigest.joined(sent.digests)
        var headers = [("content-type", "application/xml")]
        if let header = whole?.header {
            headers += [header, ("x-amz-checksum-type", "FULL_OBJECT")]
        }
        let outcome = client.send(
            S3Request(
                method: "POST", key: key, query: [("uploadId", id)], headers: headers,
                body: ByteBuffer(string: Self.text(parts))))
        guard case .answered(let answer, _) = outcome else { throw outcome.error("POST", name) }
        switch answer.verdict {
        case .success:
            // Of the whole, some stores repeat nothing: the parts are confirmed.
            let found = check.algorithm.flatMap {
                XMLElement(decoding: answer.body)?["Checksum\($0)"]
            }
            if let found, let whole, found != whole.text { sent.isConfirmed = false }
        // A repeated request, whose first answer was lost; or nobody has completed it.
        case .notFound: sent.isConfirmed = false
        default: throw outcome.error("POST", name)
        }
        return sent
    }

    /// The list of the parts in the request that completes the upload.
    private static func text(_ parts: [Part]) -> String {
        let parts = parts.enumerated().map { number, part in
            var text = "<PartNumber>\(number + 1)</PartNumber><ETag>\(escaped(part.tag))</ETag>"
            if let algorithm = part.digest.check.algorithm {
                text += "<Checksum\(algorithm)>\(part.digest.text)</Checksum\(algorithm)>"
            }
            return "<Part>\(text)</Part>"
        }
        return "<CompleteMultipartUpload>\(parts.joined())</CompleteMultipartUpload>"
    }

    /// Gives the upload up. What cannot be aborted is a leaving, which costs and does no harm.
    func abort() {
        _ = client.send(S3Request(method: "DELETE", key: key, query: [("uploadId", id)]))
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
    }
}
