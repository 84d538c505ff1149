import Testing

@testable import CheckpointObjects

@Suite("Settings of an object store", .timeLimit(.minutes(10)))
struct S3SettingsTests {
    private static let config = """
        [default]
        region = eu-north-1
        endpoint_url = http://default:1
        [profile dev]
        region=eu-west-3
        endpoint_url = http://profile:2
        services = local
        ca_bundle = ~/ca.pem
        max_attempts = 4
        s3 =
          addressing_style = virtual
          payload_signing_enabled = true
        [services local]
        s3 =
          endpoint_url = http://service:3
        [profile quiet]
        ignore_configured_endpoint_urls = true
        endpoint_url = http://quiet:4
        [profile wrong]
        services = missing
        [plugins]
        x = y
        """
    private static let credentials = """
        [dev]
        aws_access_key_id = A
        aws_secret_access_key = B
        region = us-west-9
        """

    private func resolve(
        _ environment: [String: String], bucket: String = "bucket"
    ) throws -> S3Settings {
        let files = try ConfigFiles(
            config: Array(Self.config.utf8), credentials: Array(Self.credentials.utf8))
        return try S3Settings.resolve(environment: environment, files: files, bucket: bucket)
    }

    /// Environment, region, address of the store, address of the token service: as botocore 1.43
    /// finds them, but for the regional address of S3 in us-east-1.
    @Test(
        "Region and endpoints as in botocore",
        arguments: [
            ([:], "eu-north-1", "http://default:1", "http://default:1"),
            (["AWS_PROFILE": "dev"], "us-west-9", "http://service:3", "http://profile:2"),
            (
                ["AWS_PROFILE": "dev", "AWS_ENDPOINT_URL": "http://env:5"], "us-west-9",
                "http://env:5", "http://env:5"
            ),
            (
                [
                    "AWS_PROFILE": "dev", "AWS_ENDPOINT_URL": "http://env:5",
                    "AWS_ENDPOINT_URL_S3": "http://envs3:6",
                ], "us-west-9", "http://envs3:6", "http://env:5"
            ),
            (
                [
                    "AWS_PROFILE": "dev", "AWS_ENDPOINT_URL": "http://env:5",
                    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
                ], "us-west-9", "https://s3.us-west-9.amazonaws.com",
                "https://sts.us-west-9.amazonaws.com"
            ),
            (
                ["AWS_PROFILE": "quiet", "AWS_ENDPOINT_URL": "http://env:5"], "us-east-1",
                "https://s3.us-east-1.amazonaws.com", "https://sts.us-east-1.amazonaws.com"
            ),
            (
                ["AWS_PROFILE": "dev", "AWS_DEFAULT_REGION": "ap-south-1"], "ap-south-1",
                "http://service:3", "http://profile:2"
            ),
            (
                ["AWS_REGION": "ap-east-1", "AWS_DEFAULT_REGION": "ap-south-1"], "ap-east-1",
                "http://default:1", "http://default:1"
            ),
            (
                ["AWS_REGION": "", "AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_STS": "http://sts:7"],
                "eu-north-1", "http://default:1", "http://sts:7"
            ),
            (
                [
                    "AWS_PROFILE": "quiet", "AWS_REGION": "cn-north-1",
                    "AWS_USE_DUALSTACK_ENDPOINT": "true",
                ], "cn-north-1", "https://s3.dualstack.cn-north-1.amazonaws.com.cn",
                "https://sts.cn-north-1.amazonaws.com.cn"
            ),
            (
                [
                    "AWS_PROFILE": "quiet", "AWS_REGION": "us-west-2",
                    "AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true",
                ], "us-west-2", "https://s3-fips.dualstack.us-west-2.amazonaws.com",
                "https://sts-fips.us-west-2.amazonaws.com"
            ),
        ] as [([String: String], String, String, String)])
    func precedence(
        _ environment: [String: String], _ region: String, _ store: String, _ tokens: String
    ) throws {
        let settings = try resolve(environment)
        #expect(settings.region.value == region)
        #expect(settings.address.description == store)
        #expect(settings.tokenServiceAddress.description == tokens)
    }

    @Test("Each setting knows its place")
    func places() throws {
        let dev = try resolve(["AWS_PROFILE": "dev", "HOME": "/h", "SSL_CERT_FILE": "/ssl.pem"])
        #expect(dev.region.source == "profile dev in ~/.aws/credentials")
        #expect(dev.endpoint?.source == "services local in ~/.aws/config")
        #expect(dev.certificateFile == Sourced("/h/ca.pem", source: "profile dev in ~/.aws/config"))
        #expect(dev.attemptsMax == Sourced(4, source: "profile dev in ~/.aws/config"))
        #expect(dev.addressingStyle.value == .virtualHost)
        #expect(dev.isPayloadSigned.value)
        let usual = try resolve(["AWS_PROFILE": "quiet", "SSL_CERT_FILE": "/ssl.pem"])
        #expect(usual.region == Sourced("us-east-1", source: "default"))
        #expect(usual.certificateFile == Sourced("/ssl.pem", source: "SSL_CERT_FILE"))
        #expect(usual.attemptsMax == Sourced(16, source: "default"))
        #expect(usual.isPayloadSigned == Sourced(false, source: "default"))
        #expect(usual.encryption == nil)
        #expect(usual.requestHeaders.isEmpty)
        let set = try resolve([
            "AWS_CA_BUNDLE": "/aws.pem", "SSL_CERT_FILE": "/ssl.pem", "AWS_MAX_ATTEMPTS": "2",
            "CKPT_S3_ANONYMOUS": "1", "CKPT_S3_REQUEST_PAYER": "requester",
            "CKPT_S3_STORAGE_CLASS": "INTELLIGENT_TIERING",
        ])
        #expect(set.certificateFile == Sourced("/aws.pem", source: "AWS_CA_BUNDLE"))
        #expect(set.attemptsMax == Sourced(2, source: "AWS_MAX_ATTEMPTS"))
        #expect(set.isAnonymous == Sourced(true, source: "CKPT_S3_ANONYMOUS"))
        #expect(set.isPayloadSigned.value, "an endpoint of http signs its bodies")
        #expect(set.requestHeaders.map(\.1) == ["requester"])
        #expect(set.creationHeaders.map(\.0) == ["x-amz-storage-class"])
    }

    @Test("A mode of retries stands for a number, unless one is given")
    func retryMode() throws {
        #expect(try resolve(["AWS_RETRY_MODE": "standard"]).attemptsMax == Sourced(3, source: "AWS_RETRY_MODE"))
        #expect(try resolve(["AWS_RETRY_MODE": "legacy"]).attemptsMax.value == 5)
        #expect(try resolve(["AWS_RETRY_MODE": "adaptive", "AWS_MAX_ATTEMPTS": "7"]).attemptsMax.value == 7)
    }

    @Test("Newer checksums can be switched off")
    func checksums() throws {
        #expect(try resolve([:]).usesChecksums == Sourced(true, source: "default"))
        let name = "AWS_REQUEST_CHECKSUM_CALCULATION"
        #expect(try resolve([name: "when_required"]).usesChecksums == Sourced(false, source: name))
    }

    @Test("What the program says comes before the environment and the profile, and is shown as such")
    func options() throws {
        var options = S3Options()
        options.region = "eu-north-1"
        options.endpoint = "https://minio:9000"
        options.profile = "dev"
        let environment = options.applied(to: [
            "AWS_REGION": "x", "AWS_ENDPOINT_URL_S3": "http://other", "AWS_ACCESS_KEY_ID": "AKID", "HOME": "/h",
        ])
        #expect(environment["AWS_ACCESS_KEY_ID"] == nil)
        let settings = try S3Settings.resolve(
            environment: environment,
            files: ConfigFiles(config: Array("[profile dev]\nregion = y\n".utf8)), bucket: "bucket",
            given: options.names)
        #expect(settings.region == Sourced("eu-north-1", source: "options of the program"))
        #expect(settings.address.description == "https://minio:9000")
        #expect(settings.profile == "dev")
        #expect(S3Options().applied(to: ["AWS_ACCESS_KEY_ID": "AKID"]) == ["AWS_ACCESS_KEY_ID": "AKID"])
    }

    @Test("The report lists values with their places, without secrets")
    func report() throws {
        let settings = try resolve([
            "AWS_PROFILE": "dev", "http_proxy": "http://me:secret-password@proxy:1",
            "CKPT_S3_SSE_CUSTOMER_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        ])
        let lines = settings.report.map { "\($0.name): \($0.value) (\($0.source))" }
        #expect(lines.contains("endpoint: http://service:3 (services local in ~/.aws/config)"))
        #expect(lines.contains("proxy for this endpoint: http://proxy:1 (http_proxy)"))
        #expect(lines.contains("encryption: customer key (CKPT_S3_SSE_CUSTOMER_KEY)"))
        #expect(!lines.joined().contains("secret-password"))
    }

    @Test(
        "The addressing style follows the endpoint and the bucket",
        arguments: [
            (["AWS_PROFILE": "quiet"], "bucket", .virtualHost),
            (["AWS_PROFILE": "quiet"], "my.bucket", .path),
            (["AWS_PROFILE": "quiet"], "My_Bucket", .path),
            ([:], "bucket", .path),
            (["CKPT_S3_ADDRESSING_STYLE": "virtual"], "bucket", .virtualHost),
            (["AWS_PROFILE": "dev", "CKPT_S3_ADDRESSING_STYLE": "path"], "bucket", .path),
            (["AWS_PROFILE": "dev", "CKPT_S3_ADDRESSING_STYLE": "auto"], "bucket", .path),
        ] as [([String: String], String, AddressingStyle)])
    func addressing(
        _ environment: [String: String], _ bucket: String, _ style: AddressingStyle
    ) throws {
        #expect(try resolve(environment, bucket: bucket).addressingStyle.value == style)
    }

    @Test("Encryption becomes headers")
    func encryption() throws {
        func headers(_ environment: [String: String]) throws -> [String: String] {
            let settings = try resolve(environment)
            return Dictionary(settings.creationHeaders) { $1 }
        }
        let name = "x-amz-server-side-encryption"
        #expect(try headers(["CKPT_S3_SSE": "AES256"]) == [name: "AES256"])
        #expect(try headers(["CKPT_S3_SSE": "aws:kms"]) == [name: "aws:kms"])
        #expect(
            try headers(["CKPT_S3_SSE_KMS_KEY_ID": "k"])
                == [name: "aws:kms", name + "-aws-kms-key-id": "k"])
        #expect(try headers(["CKPT_S3_SSE": "aws:kms:dsse"]) == [name: "aws:kms:dsse"])
        let key = try resolve([
            "CKPT_S3_SSE_CUSTOMER_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
        ])
        #expect(
            key.keyHeaders.map(\.1) == [
                "AES256", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                "tP/LI3N87DFaSk0aoqYgzg==",
            ])
        #expect(key.creationHeaders.map(\.0) == key.keyHeaders.map(\.0))
    }

    @Test(
        "A value that cannot be used is an error that names its place and hides the value",
        arguments: [
            ("AWS_REGION", "secret-other/../x"), ("AWS_ENDPOINT_URL", "secret-other"),
            ("AWS_ENDPOINT_URL_S3", "http://user:secret-other@host"),
            ("AWS_ENDPOINT_URL_STS", "https://host/secret-other"),
            ("AWS_MAX_ATTEMPTS", "0"), ("AWS_MAX_ATTEMPTS", "secret-other"),
            ("AWS_RETRY_MODE", "secret-other"),
            ("AWS_REQUEST_CHECKSUM_CALCULATION", "secret-other"),
            ("AWS_USE_FIPS_ENDPOINT", "secret-other"), ("CKPT_S3_ANONYMOUS", "secret-other"),
            ("CKPT_S3_ADDRESSING_STYLE", "secret-other"),
            ("CKPT_S3_STORAGE_CLASS", "secret-other\r\nx: y"),
            ("CKPT_S3_SSE", "secret-other"), ("CKPT_S3_SSE_KMS_KEY_ID", "secret-other\nx"),
            ("CKPT_S3_SSE_CUSTOMER_KEY", "secret-other"),
            ("CKPT_S3_REQUEST_PAYER", "secret-other"),
            ("HTTPS_PROXY", "socks5://secret-other:1"), ("http_proxy", "http://secret-other:x"),
            ("AWS_PROFILE", "missing"),
        ])
    func unusable(_ variable: String, _ value: String) throws {
        let error = try #require(throws: SettingsError.self) { try resolve([variable: value]) }
        #expect(error.description.contains(variable))
        #expect(!error.description.contains("secret-other"))
    }

    @Test("A services section that does not exist is an error")
    func missingServices() throws {
        let error = try #require(throws: SettingsError.self) {
            try resolve(["AWS_PROFILE": "wrong"])
        }
        #expect(error.description.contains("[services missing]"))
    }

    @Test(
        "Addresses of hosts",
        arguments: [
            ("http://localhost:9000", "http://localhost:9000"), ("HTTPS://Host/", "https://host"),
            ("http://[::1]:80", "http://[::1]:80"), ("https://10.0.0.1", "https://10.0.0.1"),
            ("localhost:9000", nil), ("ftp://x", nil), ("http://", nil), ("http://x:0", nil),
            ("http://x:65536", nil), ("http://x:", nil), ("http://x/y", nil), ("http://x?y", nil),
            ("http://x#y", nil), ("http://a@x", nil), ("http://[::1", nil), ("http://::1", nil),
            ("http://[]", nil), ("http://x y", nil), ("http://x\r\ny", nil), ("", nil),
            ("http://" + String(repeating: "x", count: 600), nil),
        ] as [(String, String?)])
    func addresses(_ text: String, _ expected: String?) {
        #expect(HostAddress(text)?.description == expected)
    }
}
