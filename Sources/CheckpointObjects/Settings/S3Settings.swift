/// The settings of an object store, each with the place where it was found.
package struct S3Settings: Sendable {
    /// The profile that the environment selects; "default" if it selects none.
    package var profile: String
    package var region: Sourced<String>
    /// The address of the store; nil for AWS's own in the region.
    package var endpoint: Sourced<HostAddress>?
    /// The address of the Security Token Service; nil for AWS's own in the region.
    package var tokenServiceEndpoint: Sourced<HostAddress>?
    package var addressingStyle: Sourced<AddressingStyle>
    /// A file of certificates that are trusted instead of those of the system.
    package var certificateFile: Sourced<String>?
    package var proxies: ProxySettings
    /// Storage class of new objects; nil for that of the bucket.
    package var storageClass: Sourced<String>?
    package var encryption: Sourced<ServerSideEncryption>?
    /// True if the one who asks pays for the requests.
    package var isRequesterPays: Sourced<Bool>
    /// True if the signature covers the bodies of requests.
    package var isPayloadSigned: Sourced<Bool>
    /// True if uploads are tried with checksums of newer kinds than MD5.
    package var usesChecksums: Sourced<Bool>
    /// Greatest number of requests for one operation.
    package var attemptsMax: Sourced<Int>
    /// This number if the user sets none.
    static let attemptsUsual = 16
    package var isDualStack: Sourced<Bool>
    package var isFIPS: Sourced<Bool>
    /// True if requests are sent without a signature.
    package var isAnonymous: Sourced<Bool>

    /// The address of the store without the bucket: the endpoint, or AWS's own in the region.
    package var address: HostAddress {
        endpoint?.value ?? address(in: region.value)
    }

    /// Returns AWS's own address of the store in a region.
    func address(in region: String) -> HostAddress {
        AWSHosts.s3(region: region, isDualStack: isDualStack.value, isFIPS: isFIPS.value)
    }

    /// The address of the Security Token Service.
    package var tokenServiceAddress: HostAddress {
        tokenServiceEndpoint?.value
            ?? AWSHosts.sts(region: region.value, isFIPS: isFIPS.value)
    }

    /// Returns the proxy for a host.
    ///
    /// - Parameters:
    ///   - host: the name or the address of the host, without a port.
    ///   - isSecure: true for https.
    /// - Returns: nil if the host is reached without a proxy.
    package func proxy(forHost host: String, isSecure: Bool = true) -> ProxyAddress? {
        proxies.proxy(forHost: host, isSecure: isSecure)
    }

    /// Headers of every request.
    package var requestHeaders: [(String, String)] {
        isRequesterPays.value ? [("x-amz-request-payer", "requester")] : []
    }

    /// Headers of requests that create an object: PUT, and the start of a multipart upload. With a
    /// customer key they hold secrets.
    package var creationHeaders: [(String, String)] {
        (encryption?.value.creationHeaders ?? [])
            + (storageClass.map { [("x-amz-storage-class", $0.value)] } ?? [])
    }

    /// Headers of requests that read an object or upload a part. With a customer key they hold
    /// secrets.
    package var keyHeaders: [(String, String)] { encryption?.value.keyHeaders ?? [] }

    /// Finds the settings: in the environment, in the profile, or the defaults, in this order.
    ///
    /// - Parameters:
    ///   - environment: the variables of the process.
    ///   - files: the profiles.
    ///   - bucket: name of the bucket, for the addressing style.
    ///   - given: the variables whose values the program has given.
    /// - Returns: the settings.
    /// - Throws: `SettingsError` for a value that cannot be used; the error names its place.
    package static func resolve(
        environment: [String: String], files: ConfigFiles, bucket: String,
        given: Set<String> = []
    ) throws(SettingsError) -> S3Settings {
        let profile = try files.profile(environment: environment)
        let lookup = SettingsLookup(
            environment: environment, files: files, profile: profile, given: given)
        let endpoint = try lookup.endpoint("s3")
        let isDualStack = try lookup.flag(
            "AWS_USE_DUALSTACK_ENDPOINT", key: "use_dualstack_endpoint", group: "s3")
        return S3Settings(
            profile: profile.name, region: try lookup.region(), endpoint: endpoint,
            tokenServiceEndpoint: try lookup.endpoint("sts"),
            addressingStyle: try lookup.addressingStyle(
                bucket: bucket, isCustom: endpoint != nil),
            certificateFile: lookup.certificateFile(),
            proxies: try ProxySettings(environment: environment),
            storageClass: try lookup.name("CKPT_S3_STORAGE_CLASS"),
            encryption: try lookup.encryption(),
            isRequesterPays: try lookup.requestPayer(),
            // TLS protects the body already; hashing it a second time costs CPU.
            isPayloadSigned: try lookup.flag(
                "CKPT_S3_SIGN_PAYLOAD", key: "payload_signing_enabled", group: "s3",
                usual: endpoint?.value.isSecure == false),
            usesChecksums: try lookup.checksums(),
            attemptsMax: try lookup.attempts(), isDualStack: isDualStack,
            isFIPS: try lookup.flag("AWS_USE_FIPS_ENDPOINT", key: "use_fips_endpoint"),
            isAnonymous: try lookup.flag("CKPT_S3_ANONYMOUS"))
    }
}
