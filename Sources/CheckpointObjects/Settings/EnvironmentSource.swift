/// The credentials in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
struct EnvironmentSource: CredentialSource, CustomReflectable {
    static let name = "environment"
    private static let keyName = "AWS_ACCESS_KEY_ID"
    private static let secretName = "AWS_SECRET_ACCESS_KEY"
    private let key: String?
    private let secret: String?
    private let token: String?

    /// Takes the variables.
    init(_ environment: [String: String]) {
        func variable(_ name: String) -> String? {
            environment[name].flatMap { $0.isEmpty ? nil : $0 }
        }
        key = variable(Self.keyName)
        secret = variable(Self.secretName)
        token = variable("AWS_SESSION_TOKEN") ?? variable("AWS_SECURITY_TOKEN")
    }

    func fetch(now: Double) throws(CredentialError) -> CredentialAnswer {
        // As in botocore, a secret without the id of its key is not looked at.
        guard let key else { return .absent("\(Self.name): \(Self.keyName) is not set") }
        guard let secret else {
            throw CredentialError(
                Self.name, "\(Self.keyName) is set, and \(Self.secretName) is not",
                "Set both variables, or neither")
        }
        let credentials = Credentials(
            accessKeyID: key, secretAccessKey: secret, sessionToken: token)
        return .found(try credentials.checked(Self.name), source: Self.name)
    }

    var customMirror: Mirror { Mirror(self, children: [("isSet", key != nil)]) }
}
