internal import Crypto
internal import Foundation

/// The way in which the store encrypts objects. A key is never printed.
package enum ServerSideEncryption: Sendable, Equatable {
    /// With keys of the store (SSE-S3).
    case managed
    /// With a key of the key service (SSE-KMS); nil is the default key. With `isDual` there are two
    /// layers (DSSE-KMS).
    case keyService(keyID: String?, isDual: Bool)
    /// With a key of 32 bytes that every request carries (SSE-C).
    case customerKey([UInt8])

    /// Length of a customer key in bytes.
    static let customerKeyCount = 32

    /// Headers of requests that create an object: PUT, and the start of a multipart upload.
    package var creationHeaders: [(String, String)] {
        let name = "x-amz-server-side-encryption"
        switch self {
        case .managed:
            return [(name, "AES256")]
        case .keyService(let keyID, let isDual):
            let key = keyID.map { [(name + "-aws-kms-key-id", $0)] } ?? []
            return [(name, isDual ? "aws:kms:dsse" : "aws:kms")] + key
        case .customerKey:
            return keyHeaders
        }
    }

    /// Headers of requests that read an object or upload a part: those of the customer key, if
    /// there is one. The values are secrets.
    package var keyHeaders: [(String, String)] {
        guard case .customerKey(let key) = self else { return [] }
        let name = "x-amz-server-side-encryption-customer-"
        return [
            (name + "algorithm", "AES256"), (name + "key", Data(key).base64EncodedString()),
            (name + "key-md5", Data(Insecure.MD5.hash(data: key)).base64EncodedString()),
        ]
    }
}

extension ServerSideEncryption: CustomStringConvertible, CustomReflectable {
    package var description: String {
        switch self {
        case .managed: "AES256"
        case .keyService(let key, let isDual):
            (isDual ? "aws:kms:dsse" : "aws:kms") + (key.map { ", key \($0)" } ?? "")
        case .customerKey: "customer key"
        }
    }
    package var customMirror: Mirror { Mirror(self, children: [("kind", description)]) }
}
