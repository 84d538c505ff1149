internal import Crypto
internal import Foundation

/// Signs requests with Signature Version 4 of Amazon Web Services.
///
/// A pure function of its arguments; nothing here touches the network or the clock.
struct RequestSigner: Sendable {
    /// Name of the service in the scope of the signature: "s3", "sts".
    let service: String
    let region: String

    /// Value of `x-amz-content-sha256` for a body that the signature does not cover.
    static let unsignedPayload = "UNSIGNED-PAYLOAD"

    /// Creates a signer.
    ///
    /// - Parameters:
    ///   - service: name of the service.
    ///   - region: name of the region.
    init(service: String, region: String) {
        self.service = service
        self.region = region
    }

    /// Returns the headers that a request needs besides its own.
    ///
    /// - Parameters:
    ///   - method: the HTTP method.
    ///   - path: the path, percent-encoded as it is sent.
    ///   - query: names and values of the query, not encoded.
    ///   - headers: the headers to send, with `host`; all of them are signed.
    ///   - payloadHash: SHA-256 of the body in hexadecimal digits, or `unsignedPayload`.
    ///   - credentials: the credentials.
    ///   - date: the time of the request by the clock of the store.
    /// - Returns: `authorization`, `x-amz-date`, `x-amz-content-sha256`, and with temporary
    ///   credentials `x-amz-security-token`.
    func sign(
        method: String, path: String, query: [(String, String)], headers: [(String, String)],
        payloadHash: String, credentials: Credentials, date: Date
    ) -> [(String, String)] {
        let time = Self.time(date)
        let day = String(time.prefix(8))
        var added = [("x-amz-date", time), ("x-amz-content-sha256", payloadHash)]
        if let token = credentials.sessionToken { added.append(("x-amz-security-token", token)) }
        let signed = (headers + added).map { ($0.lowercased(), Self.trimmed($1)) }
            .sorted { $0.0 < $1.0 }
        let names = signed.map(\.0).joined(separator: ";")
        let canonical = [
            method, path, Self.encoded(query),
            signed.map { "\($0):\($1)\n" }.joined(), names, payloadHash,
        ].joined(separator: "\n")
        let scope = "\(day)/\(region)/\(service)/aws4_request"
        let text = [
            "AWS4-HMAC-SHA256", time, scope, Self.hex(SHA256.hash(data: Data(canonical.utf8))),
        ].joined(separator: "\n")
        var key = SymmetricKey(data: Data("AWS4\(credentials.secretAccessKey)".utf8))
        for part in [day, region, service, "aws4_request"] {
            key = SymmetricKey(
                data: HMAC<SHA256>.authenticationCode(for: Data(part.utf8), using: key))
        }
        let signature = Self.hex(
            HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: key))
        let authorization =
            "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope), "
            + "SignedHeaders=\(names), Signature=\(signature)"
        return added + [("authorization", authorization)]
    }

    /// Returns a query as it is signed and sent: encoded, and sorted by name.
    static func encoded(_ query: [(String, String)]) -> String {
        query.map { (PercentEncoding.encode($0), PercentEncoding.encode($1)) }
            .sorted { $0 < $1 }.map { "\($0)=\($1)" }.joined(separator: "&")
    }

    /// Returns the SHA-256 of a body in hexadecimal digits.
    static func hash(_ body: [UInt8]) -> String {
        unsafe body.withUnsafeBytes { unsafe hash($0) }
    }

    /// Returns the SHA-256 of a body in hexadecimal digits. The bytes are not copied.
    static func hash(_ body: UnsafeRawBufferPointer) -> String {
        var hash = SHA256()
        unsafe hash.update(bufferPointer: body)
        return hex(hash.finalize())
    }

    private static func hex(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Removes spaces as the signature wants it: none at the ends, one between words.
    private static func trimmed(_ value: String) -> String {
        value.split(separator: " ").joined(separator: " ")
    }

    /// Returns a time as `20261128T181500Z`.
    private static func time(_ date: Date) -> String {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let parts = calendar.dateComponents(
            [.year, .month, .day, .hour, .minute, .second], from: date)
        func digits(_ value: Int?, _ count: Int) -> String {
            let text = String(value ?? 0)
            return String(repeating: "0", count: max(count - text.count, 0)) + text
        }
        return digits(parts.year, 4) + digits(parts.month, 2) + digits(parts.day, 2) + "T"
            + digits(parts.hour, 2) + digits(parts.minute, 2) + digits(parts.second, 2) + "Z"
    }
}
