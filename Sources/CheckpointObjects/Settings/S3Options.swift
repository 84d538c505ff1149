/// The way to a bucket as a program itself sets it, instead of the environment and the files of the
/// AWS tools. Options that are nil are looked for there.
///
///     var location = S3Location("s3://bucket/runs/first")!
///     location.options.endpoint = "https://minio:9000"
///     location.options.key = .init(id: "...", secret: "...")
///     let store = try CheckpointStore.open(location)
public struct S3Options: Sendable, Hashable {
    /// A key that signs requests. Never printed.
    public struct Key: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
        /// Identifier of the key.
        public var id: String
        /// The secret.
        public var secret: String
        /// Present in temporary credentials, which are not renewed.
        public var sessionToken: String?

        /// Creates a key.
        ///
        /// - Parameters:
        ///   - id: its identifier.
        ///   - secret: the secret.
        ///   - sessionToken: present in temporary credentials, which are not renewed.
        public init(id: String, secret: String, sessionToken: String? = nil) {
            self.id = id
            self.secret = secret
            self.sessionToken = sessionToken
        }

        /// The identifier, without the secrets.
        public var description: String { "Key(\(id))" }
        /// The identifier, without the secrets.
        public var customMirror: Mirror { Mirror(self, children: [("id", id)]) }
    }

    /// The key; nil for the credentials that the user has configured.
    public var key: Key?
    /// A profile of the files of the AWS tools; its credentials come before those in the
    /// environment.
    public var profile: String?
    /// The region.
    public var region: String?
    /// The address of the store, such as `https://minio:9000`.
    public var endpoint: String?
    /// Whether the bucket is in the path or in the name of the host: `path`, `virtual` or `auto`.
    public var addressingStyle: String?
    /// Path of a file of certificates in PEM form that are trusted instead of those of the system.
    public var certificateFile: String?
    /// Storage class of new objects.
    public var storageClass: String?
    /// Whether requests are sent without a signature.
    public var isAnonymous: Bool?

    /// Creates options that leave everything to the environment.
    public init() {}

    /// The options by the names of the variables that mean the same.
    private var variables: [String: String] {
        let variables = [
            "AWS_PROFILE": profile, "AWS_REGION": region, "AWS_ENDPOINT_URL_S3": endpoint,
            "CKPT_S3_ADDRESSING_STYLE": addressingStyle, "AWS_CA_BUNDLE": certificateFile,
            "CKPT_S3_STORAGE_CLASS": storageClass,
            "CKPT_S3_ANONYMOUS": isAnonymous.map { "\($0)" },
        ]
        return variables.compactMapValues { $0 }
    }

    /// The variables that are set by the options.
    var names: Set<String> { Set(variables.keys) }

    /// Returns the variables of a process as they are with these options.
    func applied(to environment: [String: String]) -> [String: String] {
        var environment = environment
        if profile != nil {
            // They would come before those of the profile.
            for name in ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"] {
                environment[name] = nil
            }
        }
        if endpoint != nil { environment["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = nil }
        return environment.merging(variables) { $1 }
    }

    /// The credentials that the options hold; nil for none.
    var credentials: Credentials? {
        key.map {
            Credentials(
                accessKeyID: $0.id, secretAccessKey: $0.secret, sessionToken: $0.sessionToken)
        }
    }
}
