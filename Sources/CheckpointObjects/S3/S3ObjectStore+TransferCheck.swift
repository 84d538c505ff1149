internal import Foundation
internal import NIOCore

extension S3ObjectStore {
    /// Finds out how the store compares what it receives, by small objects that it has to take and
    /// to refuse. Leaves nothing, unless the store fails in between.
    ///
    /// - Returns: the best check that it holds to.
    /// - Throws: the error of a request.
    package func bestTransferCheck() throws(ObjectStoreError) -> TransferCheck {
        let key = "probe-\(UUID().uuidString.lowercased())"
        // If it cannot be removed, a few bytes stay, which nobody reads.
        defer { try? remove(key) }
        for check in TransferCheck.allCases where check != .readBack {
            if check.algorithm != nil, !upload.triesChecksums { continue }
            if try holds(to: check, key) { return check }
        }
        return .readBack
    }

    /// Returns true if the store takes bytes with their digest, says that it has compared them, and
    /// refuses others.
    private func holds(
        to check: TransferCheck, _ key: String
    ) throws(ObjectStoreError) -> Bool {
        let body = ByteBuffer(string: "sent")
        let digest = BodyDigest(check, of: body)
        // Without an echo, the refusal below says enough.
        if check.algorithm != nil {
            guard let answer = try put(body, digest, key) else { return false }
            guard digest.isConfirmed(by: answer) else { return false }
        }
        guard try put(ByteBuffer(string: "received"), digest, key) == nil else { return false }
        guard check.algorithm != nil else { return true }
        do throws(ObjectStoreError) {
            try checking(check).beginMultipart(key).abort()
        } catch {
            guard [.failed, .unsupported].contains(error.kind) else { throw error }
            return false
        }
        return true
    }

    /// Creates an object with a digest.
    ///
    /// - Returns: nil if the store refuses the digest.
    private func put(
        _ body: ByteBuffer, _ digest: BodyDigest, _ key: String
    ) throws(ObjectStoreError) -> S3Answer? {
        let outcome = client.send(
            S3Request(
                method: "PUT", key: full(key), headers: digest.header.map { [$0] } ?? [],
                body: body),
            isRepeated: false)
        guard case .answered(let answer, _) = outcome else { throw outcome.error("PUT", key) }
        switch answer.verdict {
        case .success: return answer
        case .corrupted, .unsupported: return nil
        // Such as InvalidDigest and InvalidRequest.
        case .failed where answer.status == 400: return nil
        default: throw outcome.error("PUT", key)
        }
    }
}
