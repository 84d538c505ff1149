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
        do throws(SettingsError) {
            let files = try ConfigFiles.read(environment: environment)
            settings = try S3Settings.resolve(
                environment: environment, files: files, bucket: location.bucket)
        } catch {
            throw CheckpointError(.misuse, "\(error.place): \(error.problem)", remedy: error.remedy)
        }
        let address = settings.address
        credentials =
            settings.isAnonymous.value
            ? nil
            : CredentialProvider(
                environment: environment, settings: settings, http: CredentialHTTP(settings))
        var requests = S3Client.Settings(region: settings.region.value)
        requests.headers = settings.requestHeaders
        requests.creationHeaders = settings.creationHeaders
        requests.keyHeaders = settings.keyHeaders
        requests.signsBodies = settings.isPayloadSigned.value
        requests.retries.attempts = settings.attemptsMax.value
        requests.cancellation = cancellation
        client = S3Client(
            endpoint: S3Endpoint(
                isSecure: address.isSecure, host: address.host, port: address.port,
                bucket: location.bucket, isPathStyle: settings.addressingStyle.value == .path),
            settings: requests,
            credentials: credentials.map { ConfiguredCredentials(provider: $0) }
                ?? FixedCredentials(nil),
            transport: HTTPTransport(
                .init(
                    certificateFile: settings.certificateFile?.value,
                    proxy: settings.proxy(forHost: address.host, isSecure: address.isSecure))))
        objects = S3ObjectStore(client, location)
    }
}
