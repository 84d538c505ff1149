internal import Crypto
internal import Foundation

/// The credentials of a profile whose user signs in with a browser (`aws sso login`): the token
/// that the AWS command has left is exchanged for those of a role.
struct SignInSource: CustomReflectable {
    /// The settings of a profile that signs in.
    struct Session {
        /// Name of the section `[sso-session NAME]`, or the address where the user signs in: what
        /// the file of the token is named after.
        var title: String
        var region: String
        var account: String
        var role: String
    }

    let session: Session
    let environment: [String: String]
    let http: any SmallHTTP
    /// The profile, for the command that signs in.
    let profile: String
    /// The place of the settings, for errors.
    let place: String

    private static let timeout = 10.0
    private static let fileMax = 1 << 20

    private struct Token: Decodable {
        var accessToken: String
        var expiresAt: String
    }

    private struct Answer: Decodable {
        struct RoleCredentials: Decodable {
            var accessKeyId: String
            var secretAccessKey: String
            var sessionToken: String
            /// Milliseconds since 1970.
            var expiration: Double
        }
        var roleCredentials: RoleCredentials
    }

    /// Exchanges the token.
    ///
    /// - Parameter now: the time in seconds since 1970.
    /// - Throws: `CredentialError` if the user has to sign in, or the role is refused.
    func fetch(now: Double) throws(CredentialError) -> Credentials {
        let token = try token(now)
        let response: SmallResponse
        do {
            response = try http.send(
                SmallRequest(
                    method: "GET", url: url, headers: [("x-amz-sso_bearer_token", token)],
                    timeout: Self.timeout))
        } catch {
            throw CredentialError(
                place, "the sign-in service did not respond: "
                    + SafeText.shown(error.text, hiding: [token]), "Check the network")
        }
        switch response.status {
        case 200: break
        case 401: throw signInAgain("the sign-in has ended")
        default:
            throw CredentialError(
                place, "the sign-in service returned HTTP status \(response.status)",
                "Check sso_account_id and sso_role_name")
        }
        guard
            // Its error would quote the answer, which holds secrets.
            let answer = try? JSONDecoder().decode(Answer.self, from: Data(response.body))
        else {
            throw CredentialError(
                place, "the response of the sign-in service is not the expected JSON",
                "Check sso_region")
        }
        let found = answer.roleCredentials
        return try Credentials(
            accessKeyID: found.accessKeyId, secretAccessKey: found.secretAccessKey,
            sessionToken: found.sessionToken, expiry: found.expiration / 1000
        ).checked(place)
    }

    private var url: String {
        let usual = HostAddress(
            isSecure: true, host: "portal.sso.\(session.region).amazonaws.com").description
        let origin = environment["AWS_ENDPOINT_URL_SSO"].flatMap { HostAddress($0) }?.description
        let query = RequestSigner.encoded([
            ("account_id", session.account), ("role_name", session.role),
        ])
        return "\(origin ?? usual)/federation/credentials?\(query)"
    }

    /// Reads the token, whose file is named after the session.
    private func token(_ now: Double) throws(CredentialError) -> String {
        let digest = Insecure.SHA1.hash(data: Array(session.title.utf8))
        let name = digest.map { byte in
            String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }.joined()
        let shown = "~/.aws/sso/cache/\(name).json"
        let bytes: [UInt8]?
        do {
            bytes = try BoundedFile.read(
                ConfigFiles.expanded(shown, environment), shown: shown, sizeMax: Self.fileMax)
        } catch { throw CredentialError(error) }
        guard let bytes else { throw signInAgain("nobody has signed in") }
        guard
            // Its error would quote the file, which holds secrets.
            let token = try? JSONDecoder().decode(Token.self, from: Data(bytes)),
            SafeText.isHeaderValue(token.accessToken),
            let end = UTCTime.read(token.expiresAt.replacing("UTC", with: "Z"))
        else { throw signInAgain("\(shown) holds no token") }
        guard end > now else { throw signInAgain("the sign-in has ended") }
        return token.accessToken
    }

    private func signInAgain(_ problem: String) -> CredentialError {
        CredentialError(
            place, problem,
            "Run: aws sso login --profile \(SafeText.shown(profile, hiding: []))")
    }

    var customMirror: Mirror { Mirror(self, children: []) }
}
