/// The token of an identity provider in a file, as Kubernetes gives it to a pod: the role in
/// AWS_ROLE_ARN, the file in AWS_WEB_IDENTITY_TOKEN_FILE.
struct WebIdentitySource: CredentialSource, CustomReflectable {
    let environment: [String: String]
    let service: TokenService

    private static let name = "web identity"
    private static let sizeMax = 1 << 16

    func fetch(now: Double) throws(CredentialError) -> CredentialAnswer {
        func variable(_ name: String) -> String? {
            environment[name].flatMap { $0.isEmpty ? nil : $0 }
        }
        guard let file = variable("AWS_WEB_IDENTITY_TOKEN_FILE") else {
            return .absent("\(Self.name): AWS_WEB_IDENTITY_TOKEN_FILE is not set")
        }
        guard let arn = variable("AWS_ROLE_ARN") else {
            throw CredentialError(
                Self.name, "AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN is not",
                "Set AWS_ROLE_ARN to the role")
        }
        let role = TokenService.Role(arn: arn, sessionName: variable("AWS_ROLE_SESSION_NAME"))
        let credentials = try Self.exchange(
            file: file, role: role, service: service, source: Self.name, now: now)
        return .found(credentials, source: "\(Self.name) (AWS_WEB_IDENTITY_TOKEN_FILE)")
    }

    /// Reads the token, which is replaced from time to time, and exchanges it.
    ///
    /// - Parameters:
    ///   - file: the file with the token.
    ///   - role: the role.
    ///   - service: the service that exchanges it.
    ///   - source: the source for errors.
    ///   - now: the time in seconds since 1970.
    /// - Returns: temporary credentials.
    /// - Throws: `CredentialError` if the file has no token, or the service refuses it.
    static func exchange(
        file: String, role: TokenService.Role, service: TokenService, source: String, now: Double
    ) throws(CredentialError) -> Credentials {
        let token = try TokenFile.read(file, source: source, sizeMax: sizeMax)
        return try service.exchange(token: token, role: role, source: source, now: now)
    }

    var customMirror: Mirror { Mirror(self, children: []) }
}
