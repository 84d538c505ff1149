package import CheckpointIO
internal import Foundation
internal import NIOCore

/// Objects in a bucket of an S3-compatible store, below a prefix.
package final class S3ObjectStore: ObjectStore {
    let client: S3Client
    private let location: S3Location
    let upload: Upload

    /// The manner in which objects are uploaded.
    package struct Upload: Sendable {
        /// Size of a part in bytes; an object of at most this size is sent in one request.
        package var partBytes = 16 << 20
        /// Number of parts in flight, each of which is in memory.
        package var partsInFlight = 4
        /// How the store is known to compare what it receives.
        package var check = TransferCheck.md5
        /// Whether newer digests than MD5 are tried.
        package var triesChecksums = true

        /// The default values.
        package init() {}
    }

    init(_ client: S3Client, _ location: S3Location, upload: Upload = Upload()) {
        self.client = client
        self.location = location
        self.upload = upload
    }

    /// Returns access to the same objects, where uploads are compared in another way.
    package func checking(_ check: TransferCheck) -> S3ObjectStore {
        var upload = upload
        upload.check = check
        return S3ObjectStore(client, location, upload: upload)
    }

    package var transferCheck: TransferCheck? { upload.check }
    package var description: String { location.description }

    // MARK: Creating

    package func create(_ key: String, _ content: [UInt8]) throws(ObjectStoreError) {
        guard content.count <= Self.createBytesMax else {
            throw ObjectStoreError(
                .unsupported, "PUT", key,
                "\(content.count) bytes are more than the maximum of one request, "
                    + "\(Self.createBytesMax) bytes")
        }
        let body = ByteBuffer(bytes: content)
        let digest = BodyDigest(upload.check, of: body)
        let request = S3Request(
            method: "PUT", key: full(key),
            headers: [("if-none-match", "*")] + (digest.header.map { [$0] } ?? []), body: body)
        let start = ContinuousClock.now
        var attempt = 0
        var isOwn = false
        while true {
            attempt += 1
            let outcome = client.send(request, isRepeated: false)
            if case .notSent = outcome { throw error("PUT", key, outcome) }
            if case .answered(let answer, _) = outcome {
                switch answer.verdict {
                case .success where digest.isConfirmed(by: answer): return
                // Not known to be what was sent.
                case .success: isOwn = true
                // Somebody has it: perhaps this process, whose request arrived twice.
                case .exists, .conflict, .corrupted: break
                default: throw error("PUT", key, outcome)
                }
            }
            if let found = try self.content(of: key, atMost: content.count) {
                if found == content { return }
                throw isOwn
                    ? ObjectStoreError(.failed, "PUT", key, Self.differs)
                    : ObjectStoreError(
                        .exists, "PUT", key, "a different object already has this key")
            }
            guard client.pause(after: attempt, since: start) else {
                throw error("PUT", key, outcome)
            }
        }
    }

    /// Returns an object's content; nil if there is none. Of a larger object, the beginning and one
    /// byte more.
    private func content(of key: String, atMost limit: Int) throws(ObjectStoreError) -> [UInt8]? {
        guard let size = try size(of: key) else { return nil }
        return try bytes(of: key, count: min(size, limit + 1))
    }

    // MARK: Uploading

    package func upload(
        _ key: String, from source: any ReadableFile
    ) throws(ObjectStoreError) {
        let sent =
            try source.size <= upload.partBytes ? put(key, source) : sendParts(key, source)
        try confirm(key, sent, byteCount: source.size)
    }

    /// Checks that an object is what was sent.
    func confirm(
        _ key: String, _ sent: MultipartUpload.Sent, byteCount: Int
    ) throws(ObjectStoreError) {
        let sentBytes = sent.digests.reduce(0) { $0 + $1.byteCount }
        guard sentBytes == byteCount, try size(of: key) == byteCount else {
            throw ObjectStoreError(
                .failed, "PUT", key, "the uploaded object does not have the size of its source")
        }
        if !sent.isConfirmed { try compare(key, with: sent.digests) }
    }

    private func put(
        _ key: String, _ source: any ReadableFile
    ) throws(ObjectStoreError) -> MultipartUpload.Sent {
        let body = try body(of: key, from: source, 0..<source.size)
        let digest = BodyDigest(upload.check, of: body)
        let outcome = client.send(
            S3Request(
                method: "PUT", key: full(key), headers: digest.header.map { [$0] } ?? [],
                body: body))
        guard case .answered(let answer, _) = outcome, answer.verdict == .success else {
            throw error("PUT", key, outcome)
        }
        return .init(digests: [digest], isConfirmed: digest.isConfirmed(by: answer))
    }

    private func sendParts(
        _ key: String, _ source: any ReadableFile
    ) throws(ObjectStoreError) -> MultipartUpload.Sent {
        let multipart = try beginMultipart(key)
        // Larger for an object that would need more than 9,000.
        let partBytes = max(upload.partBytes, (source.size + 8999) / 9000)
        let count = (source.size + partBytes - 1) / partBytes
        do {
            _ = try ParallelMap.run(
                count, name: "ckpt-upload", threadsMax: upload.partsInFlight, callsPerThread: 1
            ) { number throws(ObjectStoreError) in
                let start = number * partBytes
                let range = start..<min(start + partBytes, source.size)
                try multipart.send(number, try self.body(of: key, from: source, range))
            }
            return try multipart.complete()
        } catch {
            multipart.abort()
            throw error
        }
    }

    func beginMultipart(_ key: String) throws(ObjectStoreError) -> MultipartUpload {
        try MultipartUpload(client, key, in: location, check: upload.check)
    }

    package var streamedPartBytes: Int? { upload.partBytes }

    package func stream(_ key: String) throws(ObjectStoreError) -> any StreamedUpload {
        try S3StreamedUpload(self, key)
    }

    /// Reads bytes that are sent.
    func body(
        of key: String, from source: any ReadableFile, _ range: Range<Int>
    ) throws(ObjectStoreError) -> ByteBuffer {
        let count = range.count
        var buffer = ByteBufferAllocator().buffer(capacity: count)
        var failure: FileSystemError?
        unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { bytes in
            do throws(FileSystemError) {
                let part = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[..<count])
                unsafe try source.read(into: part, at: range.lowerBound)
                return count
            } catch {
                failure = error
                return 0
            }
        }
        if let failure {
            throw ObjectStoreError(.failed, "PUT", key, "\(failure)", cause: failure)
        }
        return buffer
    }

    /// Reads an object back, and compares it with what was sent.
    ///
    /// - Parameters:
    ///   - key: the object.
    ///   - digests: the digests of its parts, in order.
    private func compare(_ key: String, with digests: [BodyDigest]) throws(ObjectStoreError) {
        var offset = 0
        for digest in digests {
            let bytes = try bytes(of: key, at: offset, count: digest.byteCount)
            let found = unsafe bytes.withUnsafeBytes { unsafe BodyDigest(digest.check, of: $0) }
            guard found == digest else {
                throw ObjectStoreError(
                    .failed, "PUT", key, "\(Self.differs), from offset \(offset) on")
            }
            offset += digest.byteCount
        }
    }

    private static let differs = "the store returns different bytes than were written"

    // MARK: Reading

    package func read(
        into bytes: UnsafeMutableRawBufferPointer, from key: String, at offset: Int
    ) throws(ObjectStoreError) {
        let count = bytes.count
        guard count > 0 else { return }
        let request = S3Request(
            method: "GET", key: full(key),
            headers: [("range", "bytes=\(offset)-\(offset + count - 1)")])
        let outcome = unsafe client.send(request, into: bytes)
        guard case .answered(let answer, _) = outcome, answer.verdict == .success else {
            throw error("GET", key, outcome)
        }
        // A store that does not know ranges returns the object from its beginning.
        let isRange = answer.headers["content-range"]?.hasPrefix("bytes \(offset)-") == true
        guard isRange || (offset == 0 && answer.status == 200) else {
            throw ObjectStoreError(
                .unsupported, "GET", key, "the store does not support range requests")
        }
    }

    package func size(of key: String) throws(ObjectStoreError) -> Int? {
        let outcome = client.send(S3Request(method: "HEAD", key: full(key)))
        guard case .answered(let answer, _) = outcome else { throw error("HEAD", key, outcome) }
        switch answer.verdict {
        case .notFound: return nil
        case .success:
            guard let size = answer.headers["content-length"].flatMap({ Int($0) }), size >= 0 else {
                throw ObjectStoreError(.failed, "HEAD", key, "the response has no content-length")
            }
            return size
        default: throw error("HEAD", key, outcome)
        }
    }

    // MARK: Listing and removing

    package func list(
        _ prefix: String, limit: Int?
    ) throws(ObjectStoreError) -> ObjectListing {
        var listing = ObjectListing()
        var token: String?
        let full = full(prefix)
        repeat {
            var query = [
                ("list-type", "2"), ("prefix", full), ("delimiter", "/"), ("encoding-type", "url"),
            ]
            if let limit { query.append(("max-keys", "\(min(limit, 1000))")) }
            if let token { query.append(("continuation-token", token)) }
            let outcome = client.send(S3Request(method: "GET", key: "", query: query))
            guard case .answered(let answer, _) = outcome, answer.verdict == .success else {
                throw error("LIST", prefix, outcome)
            }
            guard let page = XMLElement(decoding: answer.body), page.name == "ListBucketResult"
            else {
                throw ObjectStoreError(.failed, "LIST", prefix, "the response is not a listing")
            }
            for element in page.children {
                switch element.name {
                case "Contents":
                    guard let name = Self.name(element["Key"], after: full) else { continue }
                    listing.objects.append(name)
                    listing.ages[name] = Self.age(since: element["LastModified"], answer)
                case "CommonPrefixes":
                    guard let name = Self.name(element["Prefix"], after: full) else { continue }
                    listing.prefixes.append(String(name.dropLast()))
                default: continue
                }
            }
            let next = page["IsTruncated"] == "true" ? page["NextContinuationToken"] : nil
            guard next == nil || next != token else {
                throw ObjectStoreError(
                    .failed, "LIST", prefix, "the store repeats the same page of the listing")
            }
            token = next
        } while token != nil && listing.count < limit ?? .max
        return listing
    }

    /// Returns the age of something listed at the time of the answer.
    static func age(since time: String?, _ answer: S3Answer) -> Duration? {
        guard let created = time.flatMap({ UTCTime.read($0) }),
            let now = answer.headers["date"].flatMap({ HTTPDate.read($0) })
        else { return nil }
        return .seconds(max(now - created, 0))
    }

    /// Returns the name of a key in a listing.
    ///
    /// - Returns: nil for the prefix itself, which some programs create as an empty object.
    private static func name(_ key: String?, after prefix: String) -> String? {
        guard let key = key?.replacing("+", with: " ").removingPercentEncoding,
            key.hasPrefix(prefix), key != prefix
        else { return nil }
        return String(key.dropFirst(prefix.count))
    }

    package func remove(_ key: String) throws(ObjectStoreError) {
        let outcome = client.send(S3Request(method: "DELETE", key: full(key)))
        guard case .answered(let answer, _) = outcome,
            [.success, .notFound].contains(answer.verdict)
        else { throw error("DELETE", key, outcome) }
    }

    // MARK: Common

    func full(_ key: String) -> String { location.key(key) }

    private func error(
        _ operation: String, _ key: String, _ outcome: S3Client.Outcome
    ) -> ObjectStoreError {
        outcome.error(operation, key)
    }
}

extension S3Client.Outcome {
    /// Returns what has gone wrong.
    func error(_ operation: String, _ key: String) -> ObjectStoreError {
        switch self {
        case .notSent(let kind, let text): return ObjectStoreError(kind, operation, key, text)
        case .unknown(let isAnswered, let text):
            return ObjectStoreError(isAnswered ? .failed : .noAnswer, operation, key, text)
        case .answered(let answer, _):
            let kind: ObjectStoreError.Kind =
                switch answer.verdict {
                case .notFound: .notFound
                case .exists: .exists
                case .denied, .expired, .skewed: .denied
                case .unsupported: .unsupported
                default: .failed
                }
            return ObjectStoreError(kind, operation, key, answer.text)
        }
    }
}
