/// The answer of a store to a request, and its meaning.
struct S3Answer: Sendable {
    var status: Int
    /// Names in lower case.
    var headers: [String: String]
    /// The body; of a range that was read into memory, nothing.
    var body: [UInt8]
    /// What was sent and must not be shown, should the store repeat it.
    var secrets: [String] = []

    /// Maximum size of an answer that is kept in memory: a page of a listing, in bytes.
    static let bodyBytesMax = 8 << 20

    /// The meaning of an answer.
    enum Verdict: Equatable {
        case success
        case notFound
        /// The key is taken (412).
        case exists
        /// Somebody else just does something with the key (409).
        case conflict
        /// The same request can succeed later; `after` is in seconds.
        case again(after: Double?)
        /// The clock of this machine is wrong; the time of the store stands in `Date`.
        case skewed
        /// The credentials have ended.
        case expired
        /// The bucket is in another region.
        case elsewhere(region: String)
        case denied
        case unsupported
        /// The body arrived with other bytes than were sent.
        case corrupted
        case failed
    }

    private static let codesOfTime: Set = ["RequestTimeTooSkewed"]
    private static let codesOfExpiry: Set = [
        "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired",
    ]
    private static let codesOfAgain: Set = [
        "RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable", "OperationAborted",
    ]
    private static let codesOfCorruption: Set = [
        "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch",
    ]

    /// The error in the body, if the answer has one.
    var error: (code: String, message: String)? {
        guard let root = XMLElement(decoding: body), root.name == "Error" else { return nil }
        return (root["Code"] ?? "", root["Message"] ?? "")
    }

    var verdict: Verdict {
        let error = error
        // A completed upload and a copy fail with 200 and an error in the body.
        if (200..<300).contains(status), error == nil { return .success }
        let code = error?.code ?? ""
        if Self.codesOfTime.contains(code) { return .skewed }
        if Self.codesOfExpiry.contains(code) { return .expired }
        if Self.codesOfCorruption.contains(code) { return .corrupted }
        if let region = otherRegion { return .elsewhere(region: region) }
        if Self.codesOfAgain.contains(code), status != 409 {
            return .again(after: headers["retry-after"].flatMap(Double.init))
        }
        switch status {
        // An answer to HEAD has no body that could say so.
        case 400 where body.isEmpty: return .expired
        case 404: return code == "NoSuchBucket" ? .failed : .notFound
        case 409: return .conflict
        case 412: return .exists
        case 408, 425, 429, 500, 502, 503, 504, 200..<300:
            return .again(after: headers["retry-after"].flatMap(Double.init))
        case 401, 403: return .denied
        case 405, 501: return .unsupported
        default: return .failed
        }
    }

    /// The region that the store names in a redirection.
    private var otherRegion: String? {
        let isRedirection = [301, 307].contains(status)
        let isMalformed = error?.code == "AuthorizationHeaderMalformed"
        guard isRedirection || isMalformed else { return nil }
        let named = XMLElement(decoding: body)?["Region"]
        // It becomes part of the name of a host.
        guard let region = headers["x-amz-bucket-region"] ?? named,
            SafeText.isName(region, others: "-", longest: 64)
        else { return nil }
        return region
    }

    /// The answer, for people: status, code and message of the store.
    var text: String {
        let error = error
        let words = [error?.code, error?.message].compactMap { $0 }
            .map { SafeText.shown($0, hiding: secrets) }
        let place = otherRegion.map { "the bucket is in the region \($0)" }
        return (["HTTP \(status)"] + words + [place].compactMap { $0 })
            .filter { !$0.isEmpty }.joined(separator: ", ")
    }
}
