internal import Foundation

extension Credentials {
    /// Returns these credentials if requests can be signed with them.
    ///
    /// - Parameter source: the source for errors.
    /// - Throws: `CredentialError` if a part is empty, or has characters that no header can have.
    func checked(_ source: String) throws(CredentialError) -> Credentials {
        for (name, text) in [
            ("access key id", accessKeyID), ("secret access key", secretAccessKey),
            ("session token", sessionToken ?? "-"),
        ] {
            guard !SafeText.isHeaderValue(text) else { continue }
            throw CredentialError(
                source,
                "the \(name) is empty, or has a line break or another invalid character",
                "Copy the \(name) again")
        }
        return self
    }

    /// The JSON of the container and instance services, and of a credential process.
    private struct Answer: Decodable {
        var Version: Int?
        var Code: String?
        var AccessKeyId: String?
        var SecretAccessKey: String?
        var Token: String?
        var SessionToken: String?
        var Expiration: String?
    }

    /// Reads the JSON of a service or a credential process.
    ///
    /// - Parameters:
    ///   - bytes: the JSON.
    ///   - source: the source for errors.
    ///   - version: the version that the JSON must have; nil if it has none.
    /// - Returns: the credentials.
    /// - Throws: `CredentialError` for anything else.
    static func read(
        _ bytes: [UInt8], source: String, version: Int? = nil
    ) throws(CredentialError) -> Credentials {
        let remedy = "Check the service or the program that provides the credentials"
        let answer: Answer
        do {
            answer = try JSONDecoder().decode(Answer.self, from: Data(bytes))
        } catch {
            // The decoder's own error quotes the JSON, which may hold secrets.
            throw CredentialError(source, "the response is not the expected JSON", remedy)
        }
        if let version, answer.Version != version {
            throw CredentialError(
                source, "the JSON does not have \"Version\": \(version)",
                "Use a program that prints version \(version)")
        }
        if let code = answer.Code, code != "Success" {
            let shown = SafeText.isName(code, longest: 64) ? code : "an unknown code"
            throw CredentialError(source, "the service returned \(shown)", remedy)
        }
        guard let key = answer.AccessKeyId, let secret = answer.SecretAccessKey else {
            throw CredentialError(
                source, "AccessKeyId or SecretAccessKey is missing in the JSON", remedy)
        }
        var expiry: Double?
        if let text = answer.Expiration {
            guard let time = UTCTime.read(text) else {
                throw CredentialError(source, "Expiration in the JSON is not a time", remedy)
            }
            expiry = time
        }
        let token = (answer.SessionToken ?? answer.Token).flatMap { $0.isEmpty ? nil : $0 }
        return try Credentials(
            accessKeyID: key, secretAccessKey: secret, sessionToken: token, expiry: expiry
        ).checked(source)
    }
}
