internal import Foundation

/// Finds single settings: in the environment, then in the profile, then the default. An empty
/// variable counts as one that is not set.
struct SettingsLookup: CustomReflectable {
    let environment: [String: String]
    let files: ConfigFiles
    let profile: Profile
    /// Variables whose values the program has given.
    var given: Set<String> = []

    private static let usualSource = "default"

    /// Returns a variable; nil if it is not set or empty.
    func variable(_ name: String) -> Sourced<String>? {
        guard let text = environment[name].map({ SafeText.trimmed($0) }), !text.isEmpty
        else { return nil }
        return Sourced(text, source: given.contains(name) ? "options of the program" : name)
    }

    /// Returns a setting that is true or false.
    ///
    /// - Parameters:
    ///   - variable: name of the variable.
    ///   - key: name of the key in the profile, if there is one.
    ///   - group: name of the key that `key` may also be nested in.
    ///   - usual: the default.
    func flag(
        _ variable: String, key: String? = nil, group: String? = nil, usual: Bool = false
    ) throws(SettingsError) -> Sourced<Bool> {
        let nested = group.flatMap { group in key.flatMap { profile.sourced($0, in: group) } }
        guard let text = self.variable(variable) ?? key.flatMap(profile.sourced) ?? nested
        else { return Sourced(usual, source: Self.usualSource) }
        switch text.value.lowercased() {
        case "true", "1", "yes", "on": return Sourced(true, source: text.source)
        case "false", "0", "no", "off": return Sourced(false, source: text.source)
        default:
            throw SettingsError(
                text.source, "\(key ?? variable) is neither true nor false",
                "Set it to true or false")
        }
    }

    /// Returns a variable whose value is a name that a header can carry.
    func name(_ variable: String) throws(SettingsError) -> Sourced<String>? {
        guard let text = self.variable(variable) else { return nil }
        guard SafeText.isName(text.value) else {
            throw SettingsError(
                text.source, "the value has characters that are not letters, digits, - or _",
                "Correct it, or unset \(variable)")
        }
        return text
    }

    func region() throws(SettingsError) -> Sourced<String> {
        guard
            let region = variable("AWS_REGION") ?? variable("AWS_DEFAULT_REGION")
                ?? profile.sourced("region")
        else { return Sourced("us-east-1", source: Self.usualSource) }
        guard SafeText.isName(region.value, others: "-_", longest: 64) else {
            throw SettingsError(
                region.source, "the region is not a name of letters, digits and -",
                "Set a region such as us-east-1")
        }
        return region
    }

    /// Returns the address of a service that is set for it or for all services.
    ///
    /// - Parameter service: name of the service in lower case: "s3", "sts".
    /// - Returns: nil for AWS's own.
    func endpoint(_ service: String) throws(SettingsError) -> Sourced<HostAddress>? {
        let isIgnored = try flag(
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", key: "ignore_configured_endpoint_urls")
        guard !isIgnored.value else { return nil }
        let inEnvironment =
            variable("AWS_ENDPOINT_URL_\(service.uppercased())") ?? variable("AWS_ENDPOINT_URL")
        var found = inEnvironment
        if found == nil { found = try files.sourced("endpoint_url", of: service, for: profile) }
        guard let text = found ?? profile.sourced("endpoint_url") else { return nil }
        guard let address = HostAddress(text.value) else {
            throw SettingsError(
                text.source,
                "the endpoint is not http:// or https:// with a host and an optional port",
                "Set it to an address such as https://minio:9000, without a path or a user")
        }
        return Sourced(address, source: text.source)
    }

    func addressingStyle(
        bucket: String, isCustom: Bool
    ) throws(SettingsError) -> Sourced<AddressingStyle> {
        let text =
            variable("CKPT_S3_ADDRESSING_STYLE") ?? profile.sourced("addressing_style", in: "s3")
        switch text?.value.lowercased() {
        case nil, "auto":
            let isPath = isCustom || !Self.isHostLabel(bucket)
            return Sourced(
                isPath ? .path : .virtualHost, source: text?.source ?? Self.usualSource)
        case "path":
            return Sourced(.path, source: text?.source ?? "")
        case "virtual", "virtualhost", "virtual_host":
            return Sourced(.virtualHost, source: text?.source ?? "")
        default:
            throw SettingsError(
                text?.source ?? "", "unknown addressing style",
                "Set it to path, virtual or auto")
        }
    }

    /// SSL_CERT_FILE, the variable of OpenSSL, is for all programs and comes last.
    func certificateFile() -> Sourced<String>? {
        let file =
            variable("AWS_CA_BUNDLE") ?? profile.sourced("ca_bundle") ?? variable("SSL_CERT_FILE")
        return file.map {
            Sourced(ConfigFiles.expanded($0.value, environment), source: $0.source)
        }
    }

    func attempts() throws(SettingsError) -> Sourced<Int> {
        let mode = try retryMode()
        guard let text = variable("AWS_MAX_ATTEMPTS") ?? profile.sourced("max_attempts") else {
            return mode ?? Sourced(S3Settings.attemptsUsual, source: Self.usualSource)
        }
        guard let count = Int(text.value), (1...100).contains(count) else {
            throw SettingsError(
                text.source, "the number of attempts is not between 1 and 100",
                "Set a number such as \(S3Settings.attemptsUsual)")
        }
        return Sourced(count, source: text.source)
    }

    /// Returns the number of attempts that a mode of the AWS tools stands for; nil if none is set.
    private func retryMode() throws(SettingsError) -> Sourced<Int>? {
        guard let text = variable("AWS_RETRY_MODE") ?? profile.sourced("retry_mode")
        else { return nil }
        switch text.value.lowercased() {
        case "legacy": return Sourced(5, source: text.source)
        case "standard", "adaptive": return Sourced(3, source: text.source)
        default:
            throw SettingsError(
                text.source, "unknown mode of retries", "Set it to legacy, standard or adaptive")
        }
    }

    /// Returns true if requests shall have checksums of newer kinds, which old stores refuse.
    func checksums() throws(SettingsError) -> Sourced<Bool> {
        let text =
            variable("AWS_REQUEST_CHECKSUM_CALCULATION")
            ?? profile.sourced("request_checksum_calculation")
        switch text?.value.lowercased() {
        case nil, "when_supported":
            return Sourced(true, source: text?.source ?? Self.usualSource)
        case "when_required": return Sourced(false, source: text?.source ?? "")
        default:
            throw SettingsError(
                text?.source ?? "", "unknown choice of checksums",
                "Set it to when_supported or when_required")
        }
    }

    func requestPayer() throws(SettingsError) -> Sourced<Bool> {
        let name = "CKPT_S3_REQUEST_PAYER"
        guard let text = variable(name), text.value.lowercased() == "requester" else {
            return try flag(name)
        }
        return Sourced(true, source: text.source)
    }

    func encryption() throws(SettingsError) -> Sourced<ServerSideEncryption>? {
        let kind = variable("CKPT_S3_SSE")
        let keyID = variable("CKPT_S3_SSE_KMS_KEY_ID")
        if let key = variable("CKPT_S3_SSE_CUSTOMER_KEY") {
            return try customerKey(key, conflict: kind ?? keyID)
        }
        if let keyID, !SafeText.isHeaderValue(keyID.value) {
            throw SettingsError(
                keyID.source, "the value has characters that no HTTP header can have",
                "Set the id or the ARN of the key")
        }
        switch (kind?.value.lowercased(), keyID) {
        case (nil, nil):
            return nil
        case (nil, let keyID?):
            return Sourced(.keyService(keyID: keyID.value, isDual: false), source: keyID.source)
        case ("aes256", nil):
            return Sourced(.managed, source: "CKPT_S3_SSE")
        case ("aws:kms", let keyID):
            return Sourced(.keyService(keyID: keyID?.value, isDual: false), source: "CKPT_S3_SSE")
        case ("aws:kms:dsse", let keyID):
            return Sourced(.keyService(keyID: keyID?.value, isDual: true), source: "CKPT_S3_SSE")
        case ("aes256", _?):
            throw SettingsError(
                "CKPT_S3_SSE", "AES256 does not use a KMS key",
                "Set CKPT_S3_SSE=aws:kms, or unset CKPT_S3_SSE_KMS_KEY_ID")
        default:
            throw SettingsError(
                "CKPT_S3_SSE", "unknown encryption",
                "Set it to AES256, aws:kms or aws:kms:dsse")
        }
    }

    private func customerKey(
        _ text: Sourced<String>, conflict: Sourced<String>?
    ) throws(SettingsError) -> Sourced<ServerSideEncryption> {
        if let conflict {
            throw SettingsError(
                text.source,
                "\(conflict.source) is set too, but an object can have only one encryption",
                "Unset one of the two variables")
        }
        let count = ServerSideEncryption.customerKeyCount
        guard let key = Data(base64Encoded: text.value), key.count == count else {
            throw SettingsError(
                text.source, "the key is not \(count) bytes in base64",
                "Make one with: openssl rand -base64 \(count)")
        }
        return Sourced(.customerKey(Array(key)), source: text.source)
    }

    /// Returns true if a bucket can be the first label of the name of a host, so that the
    /// certificate for `*.s3.region.amazonaws.com` covers it.
    private static func isHostLabel(_ bucket: String) -> Bool {
        (3...63).contains(bucket.utf8.count) && bucket.first != "-" && bucket.last != "-"
            && bucket.utf8.allSatisfy {
                (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d
            }
    }

    /// Without the environment, which holds secrets.
    var customMirror: Mirror { Mirror(self, children: [("profile", profile)]) }
}
