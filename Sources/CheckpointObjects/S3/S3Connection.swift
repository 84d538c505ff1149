internal import CheckpointStorage
internal import Foundation

/// The way to a bucket that the user has configured.
struct S3Connection: Sendable {
    /// The objects below the location.
    let objects: S3ObjectStore
    /// The settings, each with the place where it was found.
    let settings: S3Settings
    /// Nil for requests without a signature.
    let credentials: CredentialProvider?
    let client: S3Client
    /// Creates a client of the same bucket that takes another route.
    private let clientOnRoute: @Sendable (HTTPTransport.Route) -> S3Client
    private let endpoint: S3Endpoint
    private let route: HTTPTransport.Route
    private let location: S3Location

    /// Finds the settings. Sends nothing, and asks nobody for credentials yet.
    ///
    /// - Parameters:
    ///   - location: the bucket and the prefix.
    ///   - cancellation: asks for no request to be sent again; nil if nothing does.
    ///   - environment: the variables of the process.
    /// - Throws: code `misuse` for settings that contradict or cannot be read.
    init(
        to location: S3Location, cancellation: Cancellation? = nil,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(CheckpointError) {
        let options = location.options
        let environment = options.applied(to: environment)
        do throws(SettingsError) {
            let files = try ConfigFiles.read(environment: environment)
            settings = try S3Settings.resolve(
                environment: environment, files: files, bucket: location.bucket,
                given: options.names)
            if let file = settings.certificateFile { try CertificateFile.check(file) }
        } catch {
            throw CheckpointError(.misuse, "\(error.place): \(error.problem)", remedy: error.remedy)
        }
        let address = settings.address
        credentials =
            settings.isAnonymous.value && options.key == nil
            ? nil
            : CredentialProvider(
                explicit: options.credentials, environment: environment, settings: settings,
                http: CredentialHTTP(settings))
        var requests = S3Client.Settings(region: settings.region.value)
        requests.headers = settings.requestHeaders
        requests.creationHeaders = settings.creationHeaders
        requests.keyHeaders = settings.keyHeaders
        requests.signsBodies = settings.isPayloadSigned.value
        requests.retries.attempts = settings.attemptsMax.value
        requests.cancellation = cancellation
        let isPathStyle = settings.addressingStyle.value == .path
        let endpoint = S3Endpoint(address, bucket: location.bucket, isPathStyle: isPathStyle)
        if settings.endpoint == nil {
            // AWS has an address in each region, and answers for the buckets of others with the
            // name of their region alone.
            requests.addressInRegion = { [settings] region in
                S3Endpoint(
                    settings.address(in: region), bucket: location.bucket,
                    isPathStyle: isPathStyle)
            }
        }
        let provider: any CredentialProviding =
            credentials.map { ConfiguredCredentials(provider: $0) } ?? FixedCredentials(nil)
        clientOnRoute = { [requests] route in
            S3Client(
                endpoint: endpoint, settings: requests, credentials: provider,
                transport: HTTPTransport(route))
        }
        route = .init(
            certificateFile: settings.certificateFile?.value,
            proxy: settings.proxy(forHost: address.host, isSecure: address.isSecure))
        (self.endpoint, self.location) = (endpoint, location)
        client = clientOnRoute(route)
        var upload = S3ObjectStore.Upload()
        upload.triesChecksums = settings.usesChecksums.value
        objects = S3ObjectStore(client, location, upload: upload)
    }

    /// Maximum number of addresses of a store that are tried.
    private static let addressesMax = 8

    /// Tries whether the store can hold checkpoints.
    ///
    /// Of a store with several addresses, all are tried at the same time: some stores keep the
    /// condition of a create among the requests to one of their servers only.
    ///
    /// - Throws: `.unsupported`, with what the store does wrong; otherwise the error of a request.
    func probe() throws(ObjectStoreError) {
        // A proxy looks up the addresses itself.
        let addresses =
            route.proxy == nil ? HostLookup.addresses(of: endpoint.fullHost) : []
        guard addresses.count > 1 else { return try ConditionProbe([objects]).run() }
        let stores = addresses.prefix(Self.addressesMax).map { address in
            var route = route
            route.addresses[endpoint.fullHost] = address
            return S3ObjectStore(clientOnRoute(route), location)
        }
        // Of an address without an answer, such as one of IPv6 without a route, nothing follows.
        let reachable = ConditionProbe.reachable(stores)
        try ConditionProbe(reachable.isEmpty ? [objects] : reachable).run()
    }
}
