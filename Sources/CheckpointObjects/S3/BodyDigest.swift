internal import CheckpointCodecs
internal import CheckpointFormat
internal import Crypto
internal import Foundation
internal import NIOCore

/// The digest of a body, which an object store compares with what it receives.
///
/// Old stores drop headers that they do not know, and answer 200. So only a digest that the answer
/// repeats shows that the store has compared it.
struct BodyDigest: Equatable {
    let check: TransferCheck
    /// Number of bytes of the body.
    let byteCount: Int
    /// The digest as it is sent: Base64 of its bytes, most significant first.
    let text: String
    /// The digest as a number; 0 for one that is not a cyclic check.
    private let value: UInt64

    /// Computes the digest of a body. Where bytes are read back, they are known by their XXH3-128.
    init(_ check: TransferCheck, of body: ByteBuffer) {
        self = unsafe body.withUnsafeReadableBytes { unsafe BodyDigest(check, of: $0) }
    }

    /// Computes the digest of bytes.
    init(_ check: TransferCheck, of bytes: UnsafeRawBufferPointer) {
        if let cyclic = check.cyclic {
            self.init(check, cyclic, unsafe cyclic.value(of: bytes), byteCount: bytes.count)
        } else if check == .md5 {
            var hash = Insecure.MD5()
            unsafe hash.update(bufferPointer: bytes)
            self.init(check, byteCount: bytes.count, Data(hash.finalize()))
        } else {
            let hash = unsafe Hashing.hash128(bytes).rawValue
            self.init(check, byteCount: bytes.count, Self.bytes(of: hash, count: 16))
        }
    }

    private init(_ check: TransferCheck, _ cyclic: CyclicCheck, _ value: UInt64, byteCount: Int) {
        let bytes = Self.bytes(of: UInt128(value), count: cyclic.byteCount)
        self.init(check, byteCount: byteCount, bytes, value)
    }

    private init(_ check: TransferCheck, byteCount: Int, _ bytes: Data, _ value: UInt64 = 0) {
        (self.check, self.byteCount, self.value) = (check, byteCount, value)
        text = bytes.base64EncodedString()
    }

    /// Returns the lowest bytes of a number, most significant first.
    private static func bytes(of value: UInt128, count: Int) -> Data {
        Data((0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * $0)) })
    }

    /// Returns the digest of bodies one after the other; nil if it does not follow from theirs.
    static func joined(_ digests: [BodyDigest]) -> BodyDigest? {
        guard var whole = digests.first, let cyclic = whole.check.cyclic else { return nil }
        for next in digests.dropFirst() {
            whole = BodyDigest(
                whole.check, cyclic,
                cyclic.joined(whole.value, next.value, secondCount: next.byteCount),
                byteCount: whole.byteCount + next.byteCount)
        }
        return whole
    }

    /// The header that tells the store the digest; nil if it is not told.
    var header: (String, String)? {
        if check == .md5 { return ("content-md5", text) }
        return echo.map { ($0, text) }
    }

    /// Name of the header that repeats the digest in the answer.
    private var echo: String? { check.algorithm.map { "x-amz-checksum-\($0.lowercased())" } }

    /// Returns true if an answer of success shows that the store has compared the body.
    func isConfirmed(by answer: S3Answer) -> Bool {
        guard let echo else { return check == .md5 }
        return answer.headers[echo] == text
    }
}
