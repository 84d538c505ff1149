import Foundation
import Testing

@testable import CheckpointObjects

@Suite("Sources of credentials", .timeLimit(.minutes(10)))
struct CredentialSourceTests {
    private static let off = ["AWS_EC2_METADATA_DISABLED": "true"]

    /// Returns the error of a provider, after a look for secrets in it.
    private func failure(
        _ environment: [String: String], _ http: FakeHTTP
    ) throws -> CredentialError {
        let provider = try provider(environment, http: http)
        let error = try #require(throws: CredentialError.self) { try provider.credentials() }
        for secret in Secret.all { #expect(!"\(error)".contains(secret)) }
        return error
    }

    @Test("Explicit credentials come first, then the environment")
    func order() throws {
        let http = FakeHTTP([.unreachable])
        let environment = [
            "AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": Secret.key,
            "AWS_SESSION_TOKEN": Secret.token, "AWS_ROLE_ARN": "arn",
            "AWS_WEB_IDENTITY_TOKEN_FILE": "/missing",
        ]
        let (settings, files) = try settings(
            credentials: "[default]\naws_access_key_id=AKIDFILE\naws_secret_access_key=x\n")
        let given = Credentials(accessKeyID: "AKIDGIVEN", secretAccessKey: "x")
        let first = CredentialProvider(
            explicit: given, environment: environment, settings: settings, http: http, files: files)
        #expect(try first.credentials() == given)
        let second = CredentialProvider(
            environment: environment, settings: settings, http: http, files: files)
        #expect(second.source == "none")
        #expect(try second.credentials().accessKeyID == "AKIDENV")
        #expect(try second.credentials().sessionToken == Secret.token)
        #expect(second.source == "environment")
        let third = CredentialProvider(
            environment: [:], settings: settings, http: http, files: files)
        #expect(try third.credentials().accessKeyID == "AKIDFILE")
        #expect(third.source == "profile default in ~/.aws/credentials")
        #expect(http.requests.isEmpty)
    }

    @Test(
        "Keys in the environment that cannot be used are errors",
        arguments: [
            ["AWS_ACCESS_KEY_ID": "AKID"],
            ["AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret-other\n"],
            [
                "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "x",
                "AWS_SESSION_TOKEN": "secret-other\r\nx: y",
            ],
            ["AWS_WEB_IDENTITY_TOKEN_FILE": "/missing"],
            ["AWS_WEB_IDENTITY_TOKEN_FILE": "/missing", "AWS_ROLE_ARN": "arn"],
            ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "@secret-other/x"],
            ["AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://secret-other.example/x"],
            ["AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.2@evil/x"],
            ["AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1.evil/x"],
            ["AWS_CONTAINER_CREDENTIALS_FULL_URI": "ftp://127.0.0.1/secret-other"],
            [
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "secret-other\nx",
            ],
            [
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/missing",
            ],
            ["AWS_EC2_METADATA_SERVICE_ENDPOINT": "secret-other"],
        ])
    func unusable(_ environment: [String: String]) throws {
        let http = FakeHTTP([.unreachable])
        _ = try failure(environment, http)
        #expect(http.requests.isEmpty)
    }

    @Test("Without any source the error lists what was looked at, after one request")
    func nothing() throws {
        let http = FakeHTTP([.unreachable])
        let text = try failure([:], http).description
        for part in [
            "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "profile default",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI", "EC2 instance", "CKPT_S3_ANONYMOUS=1",
        ] {
            #expect(text.contains(part))
        }
        #expect(http.requests.count == 1)
        #expect(http.requests[0].timeout == 1)
    }

    @Test("A web identity token is exchanged, without a signature")
    func webIdentity() throws {
        let file = try TemporaryText("secret-web-token\n")
        let http = FakeHTTP([.timeout, .text(xml("AssumeRoleWithWebIdentity"))])
        let provider = try provider(
            [
                "AWS_ROLE_ARN": "arn:aws:iam::1:role/a b", "AWS_REGION": "eu-west-1",
                "AWS_WEB_IDENTITY_TOKEN_FILE": file.path, "AWS_ROLE_SESSION_NAME": "run-7",
            ], http: http)
        let credentials = try provider.credentials()
        #expect(credentials.accessKeyID == "AKIDXML")
        #expect(credentials.sessionToken == Secret.token)
        #expect(credentials.expiry == noon + 3600)
        #expect(http.requests.count == 2, "a request without an answer is sent once more")
        let request = http.requests[1]
        #expect(request.url == "https://sts.eu-west-1.amazonaws.com/")
        #expect(request.header("authorization") == nil)
        #expect(
            request.text
                == "Action=AssumeRoleWithWebIdentity&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%20b"
                + "&RoleSessionName=run-7&Version=2011-06-15&WebIdentityToken=secret-web-token")
    }

    @Test(
        "A token service that refuses or sends something else is an error",
        arguments: [
            (
                [
                    .text(
                        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not\nallowed"
                            + "</Message></Error></ErrorResponse>", status: 403)
                ], "status 403, AccessDenied: not allowed"
            ),
            (
                [
                    .text(
                        "<E><Error><Code>Bad</Code><Message>token secret-web-token</Message>"
                            + "</Error></E>", status: 400)
                ], "status 400, Bad."
            ),
            ([.text("garbage", status: 500)], "status 500"),
            ([.text("garbage")], "contains no credentials"),
            ([.text(xml("AssumeRole"))], "contains no credentials"),
            ([.text("{}")], "contains no credentials"),
            ([.timeout], "no answer within 1 s"),
        ] as [([FakeHTTP.Answer], String)])
    func webIdentityFailures(_ answers: [FakeHTTP.Answer], _ expected: String) throws {
        let file = try TemporaryText("secret-web-token")
        let error = try failure(
            ["AWS_ROLE_ARN": "arn", "AWS_WEB_IDENTITY_TOKEN_FILE": file.path], FakeHTTP(answers))
        #expect("\(error)".contains(expected), "\(error)")
    }

    @Test("A container's token file is read again for each fetch")
    func container() throws {
        let file = try TemporaryText("secret-other 1\n")
        let http = FakeHTTP([.text(json()), .text(json(key: "AKIDNEXT"))])
        let source = ContainerSource(
            environment: [
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": file.path,
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "unused",
            ], http: http)
        guard case .found(let credentials, let name) = try source.fetch(now: noon) else {
            Issue.record("no credentials")
            return
        }
        #expect(credentials.accessKeyID == "AKIDJSON")
        #expect(credentials.expiry == noon + 3600)
        #expect(name == "container (AWS_CONTAINER_CREDENTIALS_FULL_URI)")
        try file.replace("secret-other 2")
        _ = try source.fetch(now: noon)
        #expect(
            http.requests.map { $0.header("authorization") } == [
                "secret-other 1", "secret-other 2",
            ])
        #expect(http.requests.allSatisfy { $0.isLocal && $0.method == "GET" })
    }

    @Test(
        "A container asks only known hosts without TLS",
        arguments: [
            "http://169.254.170.2/x", "http://169.254.170.23:80/x", "http://[fd00:ec2::23]/x",
            "http://localhost:1/x", "http://127.8.0.1/x?y=z", "http://[::1]:9/x", "https://any/x",
        ])
    func containerHosts(_ url: String) throws {
        let http = FakeHTTP([.text(json())])
        let source = ContainerSource(
            environment: ["AWS_CONTAINER_CREDENTIALS_FULL_URI": url], http: http)
        _ = try source.fetch(now: noon)
        #expect(http.requests.map(\.url) == [url])
    }

    @Test("A container's path is on the address of ECS")
    func relative() throws {
        let http = FakeHTTP([.text(json())])
        let source = ContainerSource(
            environment: [
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/id",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://unused/",
            ], http: http)
        _ = try source.fetch(now: noon)
        #expect(http.requests.map(\.url) == ["http://169.254.170.2/v2/credentials/id"])
    }

    @Test(
        "A container service that fails is an error",
        arguments: [
            .text("x", status: 404), .text("x", status: 500), .timeout, .text("garbage"),
            .text("{\"AccessKeyId\": \"secret-other\"}"), .text("[]"), .text(""),
            .text(json(expiry: "secret-other")), .text(json(expiry: "2020-01-01T00:00:00Z")),
            .text("{\"Code\": \"secret other\", \"Message\": \"secret-other\"}"),
            .text(json(key: "AKID\\nX")), .text(String(repeating: "[", count: 100_000)),
        ] as [FakeHTTP.Answer])
    func containerFailures(_ answer: FakeHTTP.Answer) throws {
        _ = try failure(
            ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"], FakeHTTP([answer]))
    }

    private func instance(
        _ environment: [String: String] = [:], _ answers: [FakeHTTP.Answer]
    ) throws -> (CredentialAnswer, FakeHTTP) {
        let http = FakeHTTP(answers)
        let source = InstanceSource(environment: environment, http: http)
        return (try source.fetch(now: noon), http)
    }

    @Test("An instance is asked with a token")
    func instance() throws {
        let (answer, http) = try instance(
            [:], [.text(Secret.token), .text("role-1\n"), .text(json())])
        guard case .found(let credentials, let name) = answer else {
            Issue.record("no credentials")
            return
        }
        #expect(credentials.accessKeyID == "AKIDJSON")
        #expect(name == "EC2 instance (role role-1)")
        let base = "http://169.254.169.254/latest/"
        let path = base + "meta-data/iam/security-credentials/"
        #expect(http.requests.map(\.url) == [base + "api/token", path, path + "role-1"])
        #expect(http.requests.map(\.method) == ["PUT", "GET", "GET"])
        #expect(http.requests[2].header("x-aws-ec2-metadata-token") == Secret.token)
        #expect(http.requests.allSatisfy { $0.timeout == 1 && $0.isLocal })
    }

    @Test(
        "Version 1 of an instance's service is a fallback",
        arguments: [.text("", status: 404), .text("", status: 403), .timeout] as [FakeHTTP.Answer])
    func version1(_ first: FakeHTTP.Answer) throws {
        let (answer, http) = try instance([:], [first, .text("role"), .text(json())])
        guard case .found = answer else {
            Issue.record("no credentials")
            return
        }
        #expect(http.requests.count == 3)
        #expect(http.requests[2].header("x-aws-ec2-metadata-token") == nil)
        let (disabled, once) = try instance(
            ["AWS_EC2_METADATA_V1_DISABLED": "true"], [first, .text("role"), .text(json())])
        guard case .absent = disabled else {
            Issue.record("version 1 was used")
            return
        }
        #expect(once.requests.count == 1)
    }

    @Test(
        "A machine that is no instance, or has no role, has no credentials there",
        arguments: [
            ([.unreachable], 1), ([.timeout, .timeout], 2),
            ([.text("t"), .text("", status: 404)], 2),
            ([.timeout, .text("<html>")], 2),
        ] as [([FakeHTTP.Answer], Int)])
    func absent(_ answers: [FakeHTTP.Answer], _ count: Int) throws {
        let (answer, http) = try instance([:], answers)
        guard case .absent = answer else {
            Issue.record("credentials from nowhere")
            return
        }
        #expect(http.requests.count == count)
    }

    @Test(
        "An instance's service that fails after the token is an error",
        arguments: [
            [.text("", status: 500)], [.text("a\u{1}b")], [.text("t"), .timeout],
            [.text("t"), .text("", status: 500)], [.text("t"), .text("../x")],
            [.text("t"), .text("role"), .timeout],
            [.text("t"), .text("role"), .text("", status: 404)],
            [.text("t"), .text("role"), .text("garbage")],
            [.text("t"), .text("role"), .text("{\"Code\": \"AssumeRoleUnauthorizedAccess\"}")],
        ] as [[FakeHTTP.Answer]])
    func instanceFailures(_ answers: [FakeHTTP.Answer]) {
        #expect(throws: CredentialError.self) { try instance([:], answers) }
    }

    @Test("An instance's credentials near their end are used for some minutes")
    func grace() throws {
        let (answer, _) = try instance(
            [:], [.text("t"), .text("r"), .text(json(expiry: "2026-11-28T18:14:00Z"))])
        guard case .found(let credentials, _) = answer else {
            Issue.record("no credentials")
            return
        }
        #expect(credentials.expiry == noon + 900)
    }

    @Test("The address of the metadata service can be set, or be that of IPv6")
    func metadataAddress() throws {
        for (environment, base) in [
            (
                ["AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://localhost:1338/"],
                "http://localhost:1338"
            ),
            (["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"], "http://[fd00:ec2::254]"),
        ] {
            let (_, http) = try instance(environment, [.unreachable])
            #expect(http.requests.map(\.url) == [base + "/latest/api/token"])
        }
        let (_, none) = try instance(Self.off, [.unreachable])
        #expect(none.requests.isEmpty)
    }
}
