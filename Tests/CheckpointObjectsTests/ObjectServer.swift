@testable import CheckpointObjects
import CheckpointTestSupport
import Foundation

extension Requirement {
    static let objects = Requirement(
        .objects, refusal: ObjectServer.shared == nil ? "run the tests with Tools/object-store" : nil)
}

/// The object store that `Tools/object-store` has started for the tests.
struct ObjectServer {
    let endpoint: S3Endpoint
    let credentials: Credentials

    /// Nil if there is none; the tests that need it are skipped then.
    static let shared: ObjectServer? = {
        let environment = ProcessInfo.processInfo.environment
        guard let text = environment["CKPT_TEST_S3"], let url = URL(string: text),
            let host = url.host(), let port = url.port
        else { return nil }
        return ObjectServer(
            endpoint: S3Endpoint(
                isSecure: false, host: host, port: port, bucket: "tests", isPathStyle: true),
            credentials: Credentials(accessKeyID: "ckpt", secretAccessKey: "ckpt-secret"))
    }()

    /// The best check that the server holds to: SeaweedFS's, unless the variable CKPT_TEST_S3_CHECK
    /// names another.
    static let bestCheck =
        ProcessInfo.processInfo.environment["CKPT_TEST_S3_CHECK"]
        .flatMap { TransferCheck(rawValue: $0) } ?? .crc64nvme

    /// Returns the objects below a new prefix.
    ///
    /// - Parameters:
    ///   - endpoint: another way to the server, such as through a proxy.
    ///   - settings: what holds for all requests.
    ///   - upload: how objects are uploaded.
    ///   - prefix: the prefix; nil for a new one.
    func objects(
        through endpoint: S3Endpoint? = nil,
        settings: S3Client.Settings = .init(region: "us-east-1"),
        upload: S3ObjectStore.Upload = .init(), prefix: String? = nil
    ) -> S3ObjectStore {
        let location = S3Location("s3://tests/\(prefix ?? UUID().uuidString.lowercased())")!
        return S3ObjectStore(
            S3Client(
                endpoint: endpoint ?? self.endpoint, settings: settings,
                credentials: FixedCredentials(credentials), transport: HTTPTransport(.init())),
            location, upload: upload)
    }
}
