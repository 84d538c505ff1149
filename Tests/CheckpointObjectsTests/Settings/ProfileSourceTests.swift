import CheckpointTestSupport
import Foundation
import Testing

@testable import CheckpointObjects

@Suite("Credentials of a profile", .timeLimit(.minutes(10)))
struct ProfileSourceTests {
    private static let base =
        "aws_access_key_id = AKIDBASE\naws_secret_access_key = \(Secret.key)\n"

    private func run(
        _ config: String, credentials: String? = nil, environment: [String: String] = [:],
        answers: [FakeHTTP.Answer] = [.text(xml("AssumeRole"))]
    ) throws -> (Credentials, String, [SmallRequest]) {
        let http = FakeHTTP(answers)
        let provider = try provider(
            [
                "AWS_PROFILE": "dev", "AWS_REGION": "eu-west-1",
                "AWS_EC2_METADATA_DISABLED": "true",
            ].merging(environment) { $1 },
            config: config, credentials: credentials, http: http)
        let found = try provider.credentials()
        return (found, provider.source, http.requests)
    }

    private func failure(
        _ config: String, credentials: String? = nil, environment: [String: String] = [:]
    ) throws -> String {
        let error = try #require(throws: CredentialError.self) {
            try run(config, credentials: credentials, environment: environment)
        }
        for secret in Secret.all { #expect(!"\(error)".contains(secret)) }
        return "\(error)"
    }

    @Test("The credentials file comes before the config file")
    func files() throws {
        let (found, source, _) = try run(
            "[profile dev]\naws_access_key_id = AKIDCONFIG\naws_secret_access_key = x\n",
            credentials: "[dev]\n" + Self.base)
        #expect(found.accessKeyID == "AKIDBASE")
        #expect(source == "profile dev in ~/.aws/credentials")
        #expect(try run("[profile dev]\n" + Self.base).1 == "profile dev in ~/.aws/config")
        #expect(
            try failure("[profile dev]\naws_access_key_id = AKID\n")
                .contains("aws_secret_access_key is missing"))
    }

    @Test("A role is taken with the keys of another profile, signed as botocore signs it")
    func sourceProfile() throws {
        let (found, source, requests) = try run(
            """
            [profile dev]
            role_arn = arn:aws:iam::123456789012:role/trainer
            source_profile = base
            external_id = ext/1
            role_session_name = run-7
            duration_seconds = 900
            """,
            credentials: """
                [base]
                aws_access_key_id = AKIDEXAMPLE
                aws_secret_access_key = \(Secret.key)
                aws_session_token = token/with+chars==
                """)
        #expect(found.accessKeyID == "AKIDXML")
        #expect(
            source == "profile dev in ~/.aws/config "
                + "(role_arn with profile base in ~/.aws/credentials)")
        let request = try #require(requests.first)
        #expect(
            request.text == "Action=AssumeRole&DurationSeconds=900&ExternalId=ext%2F1"
                + "&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Ftrainer"
                + "&RoleSessionName=run-7&Version=2011-06-15")
        #expect(
            request.header("authorization")
                == "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261128/eu-west-1/sts/aws4_request, "
                + "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;"
                + "x-amz-security-token, Signature="
                + "4f755931abff7a671383604c0994160070b3c68aaa1eb9e45fd2d7d3ec7824ff")
    }

    @Test("Roles are taken one after the other; a profile may name itself")
    func chains() throws {
        let (_, _, requests) = try run(
            """
            [profile dev]
            role_arn = arn-dev
            source_profile = middle
            [profile middle]
            role_arn = arn-middle
            source_profile = base
            [profile base]
            role_arn = arn-unused
            source_profile = missing
            \(Self.base)
            """, answers: [.text(xml("AssumeRole", key: "AKIDMIDDLE")), .text(xml("AssumeRole"))])
        #expect(requests.count == 2)
        #expect(requests[0].text.contains("RoleArn=arn-middle"))
        #expect(requests[0].header("authorization")?.contains("Credential=AKIDBASE/") == true)
        #expect(requests[1].text.contains("RoleArn=arn-dev"))
        #expect(requests[1].header("authorization")?.contains("Credential=AKIDMIDDLE/") == true)
        let own = try run("[profile dev]\nrole_arn = arn\nsource_profile = dev\n" + Self.base)
        #expect(own.2[0].header("authorization")?.contains("Credential=AKIDBASE/") == true)
    }

    @Test("A role is taken with the credentials of the environment, a container, an instance")
    func credentialSource() throws {
        func config(_ kind: String) -> String {
            "[profile dev]\nrole_arn = arn\ncredential_source = \(kind)\n"
        }
        let (settings, files) = try settings(
            ["AWS_PROFILE": "dev"], config: config("Environment"))
        let http = FakeHTTP([.text(xml("AssumeRole"))])
        let service = TokenService(address: settings.address, region: "r", http: http)
        let source = ProfileSource(
            environment: [
                "AWS_PROFILE": "dev", "AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "x",
            ], service: service, files: files)
        _ = try source.fetch(now: noon)
        #expect(http.requests[0].header("authorization")?.contains("=AKIDENV/") == true)
        let container = try run(
            config("EcsContainer"), environment: ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"],
            answers: [.text(json()), .text(xml("AssumeRole"))])
        #expect(container.2[1].header("authorization")?.contains("=AKIDJSON/") == true)
        let instance = try run(
            config("Ec2InstanceMetadata"), environment: ["AWS_EC2_METADATA_DISABLED": ""],
            answers: [.text("t"), .text("role"), .text(json()), .text(xml("AssumeRole"))])
        #expect(instance.2[3].header("authorization")?.contains("=AKIDJSON/") == true)
        #expect(try failure(config("Moon")).contains("unknown value of credential_source"))
        #expect(
            try failure(config("EcsContainer")).contains("credential_source has no credentials"))
    }

    @Test("A role is taken with a web identity")
    func webIdentity() throws {
        let file = try TemporaryText("secret-web-token")
        let (found, source, requests) = try run(
            "[profile dev]\nrole_arn = arn\nweb_identity_token_file = \(file.path)\n",
            answers: [.text(xml("AssumeRoleWithWebIdentity"))])
        #expect(found.accessKeyID == "AKIDXML")
        #expect(source == "profile dev in ~/.aws/config (web_identity_token_file)")
        #expect(requests[0].text.contains("RoleSessionName=ckpt-1795889700&"))
    }

    @Test(
        "A profile that leads nowhere is an error that says why",
        arguments: [
            ("role_arn = a\nsource_profile = dev\n", "too long: dev -> dev"),
            (
                "role_arn = a\nsource_profile = b\n[profile b]\nrole_arn = b\nsource_profile = dev\n",
                "too long: dev -> b -> dev"
            ),
            ("role_arn = a\nsource_profile = none\n", "\"none\", which does not exist"),
            (
                "role_arn = a\nsource_profile = b\n[profile b]\nregion = x\n",
                "\"b\" has no credentials"
            ),
            ("role_arn = a\n", "either source_profile or credential_source"),
            (
                "role_arn = a\nsource_profile = b\ncredential_source = Environment\n",
                "either source_profile or credential_source"
            ),
            ("role_arn = a\nsource_profile = b\nmfa_serial = m\n", "mfa_serial"),
            ("sso_session = corp\nsso_account_id = 1\n", "aws configure sso"),
            ("sso_start_url = https://x\n", "sso_region is missing"),
            (Self.signIn, "Run: aws sso login --profile dev"),
            ("region = x\n", "profile dev: no credentials"),
            ("credential_process = 'x\n", "a quote in it is not closed"),
        ])
    func deadEnds(_ keys: String, _ expected: String) throws {
        let text = try failure("[profile dev]\n" + keys)
        #expect(text.contains(expected), "\(text)")
    }

    private static let signIn =
        "sso_start_url = https://x\nsso_region = eu-west-1\nsso_account_id = 1\nsso_role_name = r\n"

    @Test("A user who has signed in gets the credentials of the role",
        arguments: ["2026-11-28T19:15:00Z", "2026-11-28T19:15:00UTC"])
    func signedIn(_ end: String) throws {
        let directory = try TemporaryDirectory()
        let cache = directory.appending(".aws/sso/cache")
        try FileManager.default.createDirectory(atPath: cache, withIntermediateDirectories: true)
        func write(_ end: String) throws {
            // The SHA-1 of "corp".
            try "{\"accessToken\": \"\(Secret.token)\", \"expiresAt\": \"\(end)\"}".write(
                toFile: cache + "/ee0bfd2552fbd840c02cc48b6e823320543c450f.json", atomically: true, encoding: .utf8)
        }
        try write(end)
        let config = """
            [sso-session corp]
            sso_region = eu-west-1
            sso_start_url = https://corp.awsapps.com/start
            [profile dev]
            sso_session = corp
            sso_account_id = 123456789012
            sso_role_name = Trainer
            """
        let answer = """
            {"roleCredentials": {"accessKeyId": "AKIDSSO", "secretAccessKey": "\(Secret.key)",
            "sessionToken": "\(Secret.token)", "expiration": 1795893300000}}
            """
        let home = ["HOME": directory.path]
        let (found, source, requests) = try run(config, environment: home, answers: [.text(answer)])
        #expect(found.accessKeyID == "AKIDSSO" && found.expiry == noon + 3600)
        #expect(source == "profile dev in ~/.aws/config (signed in)")
        let request = try #require(requests.first)
        #expect(
            request.url == "https://portal.sso.eu-west-1.amazonaws.com/federation/credentials"
                + "?account_id=123456789012&role_name=Trainer")
        #expect(request.header("x-amz-sso_bearer_token") == Secret.token)
        for (answers, expected) in [
            ([FakeHTTP.Answer.text("no", status: 401)], "aws sso login --profile dev"),
            ([.text("no", status: 403)], "sso_role_name"), ([.text("{}")], "not the expected JSON"),
            ([.unreachable], "did not respond"),
        ] {
            let error = try #require(throws: CredentialError.self) {
                try run(config, environment: home, answers: answers)
            }
            #expect("\(error)".contains(expected) && !"\(error)".contains(Secret.token), "\(error)")
        }
        try write("2026-11-28T18:14:00Z")
        #expect(try failure(config, environment: home).contains("the sign-in has ended"))
        try write("soon")
        #expect(try failure(config, environment: home).contains("holds no token"))
    }

    private func process(
        _ command: String, timeout: Double = 20, environment: [String: String] = [:]
    ) throws -> Credentials {
        try CredentialProcess(
            command: command,
            environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? ""]
                .merging(environment) { $1 },
            source: "profile dev", timeout: timeout
        ).run()
    }

    @Test("A credential process prints credentials, with and without an end")
    func process() throws {
        let file = try TemporaryText(json(version: "\"Version\": 1, "))
        #expect(try process("cat '\(file.path)'").expiry == noon + 3600)
        try file.replace(
            "{\"Version\": 1, \"AccessKeyId\": \"AKIDP\", \"SecretAccessKey\": \"x\"}")
        let found = try run("[profile dev]\ncredential_process = cat \(file.path)\n" + Self.base)
        #expect(found.0 == Credentials(accessKeyID: "AKIDP", secretAccessKey: "x"))
        #expect(found.1 == "profile dev in ~/.aws/config (credential_process)")
        let script = "[ \"$X\" = \"a b\" ] && ! read line && cat \"$1\""
        #expect(
            try process("sh -c '\(script)' sh \(file.path)", environment: ["X": "a b"]).accessKeyID
                == "AKIDP")
    }

    @Test(
        "A credential process that fails is an error without its messages",
        arguments: [
            ("/missing/secret-program", "cannot be started"), ("false", "exit status 1"),
            ("sh -c 'echo secret-other >&2; exit 3'", "exit status 3"),
            ("sh -c 'kill -9 $$'", "ended by a signal"), ("echo secret-other", "expected JSON"),
            ("echo '{\"Version\": 2}'", "\"Version\": 1"), ("echo '{}'", "\"Version\": 1"),
            ("echo '{\"Version\": 1, \"AccessKeyId\": \"secret-other\"}'", "is missing"),
            ("sh -c 'yes secret-other | head -c 3000000'", "more than 1 MiB"), ("true", "expected JSON"),
            ("", "is empty"),
        ])
    func processFailures(_ command: String, _ expected: String) throws {
        let error = try #require(throws: CredentialError.self) { try process(command) }
        #expect("\(error)".contains(expected), "\(error)")
        #expect(!"\(error)".contains("secret-other"))
    }

    @Test(
        "A credential process that does not end is killed with its children",
        arguments: ["sleep 600", "sh -c 'sleep 600; echo x'", "sh -c 'exec >&-; sleep 600'"])
    func processTimeout(_ command: String) throws {
        let start = ContinuousClock.now
        let error = try #require(throws: CredentialError.self) {
            try process(command, timeout: 0.2)
        }
        #expect("\(error)".contains("did not end within"))
        // Not the time that it took, but that it was not waited for.
        #expect(ContinuousClock.now - start < .seconds(300))
    }

    @Test("The children of a credential process are killed too")
    func processChildren() throws {
        let file = try TemporaryText("untouched")
        #expect(throws: CredentialError.self) {
            try process("sh -c '(sleep 5; echo alive > \(file.path)) & wait'", timeout: 0.2)
        }
        // A loaded machine kills them late, but not by seconds.
        Thread.sleep(forTimeInterval: 6)
        #expect(try String(contentsOfFile: file.path, encoding: .utf8) == "untouched")
    }

    @Test("The files are read again at a refresh")
    func replaced() throws {
        let file = try TemporaryText("[dev]\n" + Self.base)
        let environment = [
            "AWS_SHARED_CREDENTIALS_FILE": file.path, "AWS_CONFIG_FILE": "/missing/config",
            "AWS_PROFILE": "dev",
        ]
        let settings = try S3Settings.resolve(
            environment: environment, files: try ConfigFiles.read(environment: environment),
            bucket: "bucket")
        let provider = CredentialProvider(
            environment: environment, settings: settings, http: FakeHTTP([.unreachable]))
        let old = try provider.credentials()
        #expect(throws: CredentialError.self) { try provider.refresh(after: old) }
        try file.replace("[dev]\naws_access_key_id = AKIDNEW\naws_secret_access_key = x\n")
        try provider.refresh(after: old)
        #expect(try provider.credentials().accessKeyID == "AKIDNEW")
        try file.replace("[dev]\nsecret-other\n")
        let error = try #require(throws: CredentialError.self) {
            try provider.refresh(after: try provider.credentials())
        }
        #expect("\(error)".contains("line 2"))
        #expect(!"\(error)".contains("secret-other"))
        try file.replace(String(repeating: "# comment\n", count: 110_000))
        #expect(throws: SettingsError.self) { try ConfigFiles.read(environment: environment) }
        #expect(
            try ConfigFiles.read(environment: ["HOME": "/missing"]).profile(named: "x")?.name == nil
        )
        #expect(throws: SettingsError.self) {
            try ConfigFiles.read(environment: ["AWS_CONFIG_FILE": "/"])
        }
    }
}
