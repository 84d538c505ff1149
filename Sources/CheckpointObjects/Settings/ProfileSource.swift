/// The credentials of a profile in the files of the AWS tools.
///
/// The files are read again at each fetch, because other programs replace the keys in them.
struct ProfileSource: CredentialSource, CustomReflectable {
    let environment: [String: String]
    let service: TokenService
    /// The files; nil reads those that the environment names.
    let files: ConfigFiles?

    /// Greatest number of roles that are taken one after the other.
    private static let rolesMax = 8

    func fetch(now: Double) throws(CredentialError) -> CredentialAnswer {
        let files: ConfigFiles
        let profile: Profile
        do throws(SettingsError) {
            if let fixed = self.files {
                files = fixed
            } else {
                files = try ConfigFiles.read(environment: environment)
            }
            profile = try files.profile(environment: environment)
        } catch {
            throw CredentialError(error)
        }
        return try Search(source: self, files: files, now: now).answer(profile)
    }

    var customMirror: Mirror { Mirror(self, children: []) }

    /// One fetch.
    private struct Search {
        let source: ProfileSource
        let files: ConfigFiles
        let now: Double

        /// Returns the credentials of a profile, in the order of botocore: a role comes before the
        /// keys in the same profile, which may be those that take it.
        ///
        /// - Parameters:
        ///   - profile: the profile.
        ///   - visited: the profiles that take their roles with this one, the first one first.
        func answer(
            _ profile: Profile, visited: [String] = []
        ) throws(CredentialError) -> CredentialAnswer {
            let hasKeys =
                profile["aws_access_key_id"] != nil || profile["aws_secret_access_key"] != nil
            if let arn = profile["role_arn"], visited.isEmpty || !hasKeys {
                return try role(arn, profile, visited)
            }
            let shown = SafeText.shown(profile.name, hiding: [])
            let process = profile["credential_process"]
            let keyFile = profile.values["aws_access_key_id"]?.file
            if hasKeys,
                process == nil || keyFile != files.configFile
                    || files.configFile == files.credentialsFile
            {
                return try keys(profile)
            }
            if let process {
                let name = profile.place(of: "credential_process")
                let credentials = try CredentialProcess(
                    command: process, environment: source.environment, source: name
                ).run()
                return .found(credentials, source: "\(name) (credential_process)")
            }
            let signIn = ["sso_session", "sso_start_url", "sso_account_id"]
            if let key = signIn.first(where: { profile[$0] != nil }) {
                let place = profile.place(of: key)
                let credentials = try SignInSource(
                    session: try session(of: profile, place), environment: source.environment,
                    http: source.service.http, profile: profile.name, place: place
                ).fetch(now: now)
                return .found(credentials, source: "\(place) (signed in)")
            }
            return .absent("profile \(shown): no credentials in \(files.places)")
        }

        /// Returns what a profile says about signing in.
        private func session(
            of profile: Profile, _ place: String
        ) throws(CredentialError) -> SignInSource.Session {
            func value(_ key: String) throws(CredentialError) -> String {
                let shared = profile["sso_session"].flatMap { files.signInValue(key, of: $0) }
                guard let value = profile[key] ?? shared else {
                    throw CredentialError(
                        place, "\(key) is missing", "Run: aws configure sso")
                }
                return value
            }
            let region = try value("sso_region")
            guard SafeText.isName(region, others: "-", longest: 64) else {
                throw CredentialError(place, "sso_region is not a region", "Correct it")
            }
            let start = try value("sso_start_url")
            return SignInSource.Session(
                title: profile["sso_session"] ?? start, region: region,
                account: try value("sso_account_id"), role: try value("sso_role_name"))
        }

        private func keys(_ profile: Profile) throws(CredentialError) -> CredentialAnswer {
            let (key, secret) = (profile["aws_access_key_id"], profile["aws_secret_access_key"])
            let name = profile.place(
                of: key == nil ? "aws_secret_access_key" : "aws_access_key_id")
            guard let key, let secret else {
                let missing = key == nil ? "aws_access_key_id" : "aws_secret_access_key"
                throw CredentialError(
                    name, "\(missing) is missing", "Add it, or remove the other key")
            }
            let credentials = Credentials(
                accessKeyID: key, secretAccessKey: secret,
                sessionToken: profile["aws_session_token"] ?? profile["aws_security_token"])
            return .found(try credentials.checked(name), source: name)
        }

        private func role(
            _ arn: String, _ profile: Profile, _ visited: [String]
        ) throws(CredentialError) -> CredentialAnswer {
            let name = profile.place(of: "role_arn")
            let role = TokenService.Role(
                arn: arn, sessionName: profile["role_session_name"],
                externalID: profile["external_id"],
                duration: profile["duration_seconds"].flatMap { Int($0) }.map { "\($0)" })
            if let file = profile["web_identity_token_file"] {
                let credentials = try WebIdentitySource.exchange(
                    file: file, role: TokenService.Role(arn: arn, sessionName: role.sessionName),
                    service: source.service, source: name, now: now)
                return .found(credentials, source: "\(name) (web_identity_token_file)")
            }
            guard profile["mfa_serial"] == nil else {
                throw CredentialError(
                    name, "the role needs a code for mfa_serial, and ckpt cannot ask for one",
                    "Run: eval \"$(aws configure export-credentials --profile "
                        + "\(profile.name) --format env)\"")
            }
            let (signer, origin) = try signer(profile, visited, name)
            let credentials = try source.service.assume(
                role, with: signer, source: name, now: now)
            return .found(credentials, source: "\(name) (role_arn with \(origin))")
        }

        /// Returns the credentials that take a role, and where they are from.
        private func signer(
            _ profile: Profile, _ visited: [String], _ name: String
        ) throws(CredentialError) -> (Credentials, String) {
            switch (profile["source_profile"], profile["credential_source"]) {
            case (let other?, nil):
                return try signer(profile: other, of: profile, visited, name)
            case (nil, let kind?):
                return try signer(kind: kind, name)
            default:
                throw CredentialError(
                    name, "role_arn needs either source_profile or credential_source",
                    "Set one of the two keys in the profile")
            }
        }

        private func signer(
            profile other: String, of profile: Profile, _ visited: [String], _ name: String
        ) throws(CredentialError) -> (Credentials, String) {
            let shown = SafeText.shown(other, hiding: [])
            guard let next = files.profile(named: other) else {
                throw CredentialError(
                    name, "source_profile names the profile \"\(shown)\", which does not exist",
                    "Correct the name")
            }
            let path = visited + [profile.name]
            // A profile may name itself if it also has the keys.
            let hasOwnKeys = other == profile.name && next["aws_access_key_id"] != nil
            guard !path.contains(other) || hasOwnKeys, path.count < ProfileSource.rolesMax else {
                throw CredentialError(
                    name,
                    "source_profile forms a cycle, or a chain that is too long: "
                        + (path + [other]).map { SafeText.shown($0, hiding: []) }
                        .joined(separator: " -> "),
                    "Add access keys to the last profile, or correct source_profile")
            }
            guard case .found(let credentials, let origin) = try answer(next, visited: path) else {
                throw CredentialError(
                    name, "the profile \"\(shown)\" has no credentials",
                    "Add credentials to the profile")
            }
            return (credentials, origin)
        }

        private func signer(
            kind: String, _ name: String
        ) throws(CredentialError) -> (Credentials, String) {
            let (environment, http) = (source.environment, source.service.http)
            let answer: CredentialAnswer
            switch kind.lowercased() {
            case "environment":
                answer = try EnvironmentSource(environment).fetch(now: now)
            case "ecscontainer":
                answer = try ContainerSource(environment: environment, http: http).fetch(now: now)
            case "ec2instancemetadata":
                answer = try InstanceSource(environment: environment, http: http).fetch(now: now)
            default:
                throw CredentialError(
                    name, "unknown value of credential_source",
                    "Set it to Environment, EcsContainer or Ec2InstanceMetadata")
            }
            switch answer {
            case .found(let credentials, let origin): return (credentials, origin)
            case .absent(let reason):
                throw CredentialError(
                    name, "credential_source has no credentials (\(reason))",
                    "Correct credential_source, or use source_profile")
            }
        }
    }
}
