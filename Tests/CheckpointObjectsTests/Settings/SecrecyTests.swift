import Testing

@testable import CheckpointObjects

@Suite("Secrets are never printed", .timeLimit(.minutes(10)))
struct SecrecyTests {
    private static let environment = [
        "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": Secret.key,
        "AWS_SESSION_TOKEN": Secret.token, "HTTPS_PROXY": "http://user:secret-password@proxy:1",
        "CKPT_S3_SSE_CUSTOMER_KEY": "c2VjcmV0LWtleS1zZWNyZXQta2V5LXNlY3JldC1rZXk=",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "secret-other",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://x/secret-other",
    ]
    private static let config =
        "[default]\naws_access_key_id = AKID\naws_secret_access_key = \(Secret.key)\n"
        + "aws_session_token = \(Secret.token)\ns3 =\n  x = secret-other\n"
        + "[services y]\ns3 =\n  endpoint_url = secret-other\n"

    private func check(_ value: Any, _ name: String) {
        var dumped = ""
        dump(value, to: &dumped)
        for text in ["\(value)", String(reflecting: value), dumped] {
            for secret in Secret.all + ["c2VjcmV0", "115, 101, 99"] {
                #expect(!text.contains(secret), "\(name)")
            }
        }
    }

    @Test("Descriptions, reflections and dumps of all types")
    func types() throws {
        let credentials = Credentials(
            accessKeyID: "AKID", secretAccessKey: Secret.key, sessionToken: Secret.token)
        let files = try ConfigFiles(config: Array(Self.config.utf8))
        let settings = try S3Settings.resolve(
            environment: Self.environment, files: files, bucket: "bucket")
        let http = FakeHTTP([.unreachable])
        let service = TokenService(address: settings.address, region: "r", http: http)
        let environment = Self.environment
        let provider = CredentialProvider(
            explicit: credentials, environment: environment, settings: settings, http: http,
            files: files)
        check(credentials, "Credentials")
        var location = try #require(S3Location("s3://bucket/x"))
        location.options.key = .init(id: "AKID", secret: Secret.key, sessionToken: Secret.token)
        check(location, "S3Location")
        check(
            SignInSource(
                session: .init(title: "n", region: "r", account: "a", role: "r"),
                environment: environment, http: http, profile: "p", place: "p"), "SignInSource")
        check(files, "ConfigFiles")
        check(try files.profile(environment: [:]), "Profile")
        check(try files.profile(environment: [:]).values, "values")
        check(try INIDocument(Array(Self.config.utf8), file: "x"), "INIDocument")
        check(settings, "S3Settings")
        check(settings.proxies, "ProxySettings")
        check(settings.encryption as Any, "ServerSideEncryption")
        check(CredentialAnswer.found(credentials, source: "x"), "CredentialAnswer")
        check(FixedSource(credentials), "FixedSource")
        check(EnvironmentSource(environment), "EnvironmentSource")
        check(WebIdentitySource(environment: environment, service: service), "WebIdentitySource")
        check(
            ProfileSource(environment: environment, service: service, files: files),
            "ProfileSource")
        check(ContainerSource(environment: environment, http: http), "ContainerSource")
        check(InstanceSource(environment: environment, http: http), "InstanceSource")
        check(
            CredentialProcess(
                command: "x secret-other", environment: environment, source: "x"),
            "CredentialProcess")
        check(
            SettingsLookup(
                environment: environment, files: files,
                profile: try files.profile(environment: [:])), "SettingsLookup")
        check(provider, "CredentialProvider")
        _ = try provider.credentials()
        check(provider, "CredentialProvider with credentials")
        check(
            SmallRequest(
                method: "GET", url: "https://x/secret-other",
                headers: [("authorization", "secret-other")], body: Array("secret-other".utf8),
                timeout: 1), "SmallRequest")
        check(
            SmallResponse(
                status: 200, headers: [("x", "secret-other")], body: Array("secret-other".utf8)),
            "SmallResponse")
    }
}
