@testable import CheckpointObjects
import Foundation

/// Answers requests in the test, and remembers them.
final class FakeHTTP: SmallHTTP, @unchecked Sendable {
    typealias Answer = Result<SmallResponse, SmallHTTPError>

    private let lock = NSLock()
    private let answer: @Sendable (SmallRequest, Int) -> Answer
    private var seen: [SmallRequest] = []

    /// - Parameter answer: gets a request and the number of those before it.
    init(_ answer: @escaping @Sendable (SmallRequest, Int) -> Answer) { self.answer = answer }

    /// Gives these answers one after the other, and then the last one again.
    convenience init(_ answers: [Answer]) {
        self.init { _, index in answers[min(index, answers.count - 1)] }
    }

    var requests: [SmallRequest] { lock.withLock { seen } }

    func send(_ request: SmallRequest) throws(SmallHTTPError) -> SmallResponse {
        let index = lock.withLock {
            seen.append(request)
            return seen.count - 1
        }
        return try answer(request, index).get()
    }
}

extension Result where Success == SmallResponse, Failure == SmallHTTPError {
    static func text(_ text: String, status: Int = 200) -> Self {
        .success(SmallResponse(status: status, body: Array(text.utf8)))
    }
    static var timeout: Self { .failure(SmallHTTPError(.timedOut, "no answer within 1 s")) }
    static var unreachable: Self { .failure(SmallHTTPError(.unreachable, "no route to host")) }
}

extension SmallRequest {
    func header(_ name: String) -> String? { headers.first { $0.0.lowercased() == name }?.1 }
    var text: String { String(decoding: body, as: UTF8.self) }
}

/// 2026-11-28T18:15:00Z.
let noon = 1_795_889_700.0

/// The JSON of a container or an instance.
func json(
    key: String = "AKIDJSON", expiry: String = "2026-11-28T19:15:00Z", version: String = ""
) -> String {
    """
    {\(version)"Code": "Success", "AccessKeyId": "\(key)", "SecretAccessKey": "\(Secret.key)",
    "Token": "\(Secret.token)", "Expiration": "\(expiry)"}
    """
}

/// The XML of the Security Token Service.
func xml(_ operation: String, key: String = "AKIDXML") -> String {
    """
    <\(operation)Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><\(operation)Result>
    <Credentials><AccessKeyId>\(key)</AccessKeyId><SecretAccessKey>\(Secret.key)</SecretAccessKey>
    <SessionToken>\(Secret.token)</SessionToken><Expiration>2026-11-28T19:15:00Z</Expiration>
    </Credentials></\(operation)Result></\(operation)Response>
    """
}

/// Makes a file for a test in a folder of its own, and removes it at the end.
final class TemporaryText {
    let path: String
    private let folder: URL

    init(_ text: String) throws {
        folder = FileManager.default.temporaryDirectory.appending(
            path: "ckpt-settings-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        path = folder.appending(path: "file").path
        try replace(text)
    }

    func replace(_ text: String) throws {
        try Data(text.utf8).write(to: URL(filePath: path))
    }

    deinit { try? FileManager.default.removeItem(at: folder) }
}

/// Returns settings and profiles for the tests of sources.
func settings(
    _ environment: [String: String] = [:], config: String? = nil, credentials: String? = nil
) throws -> (S3Settings, ConfigFiles) {
    let files = try ConfigFiles(
        config: config.map { Array($0.utf8) }, credentials: credentials.map { Array($0.utf8) })
    return (try S3Settings.resolve(environment: environment, files: files, bucket: "bucket"), files)
}

/// Returns a provider with all sources, at a fixed time.
func provider(
    _ environment: [String: String] = [:], config: String? = nil, credentials: String? = nil,
    http: FakeHTTP
) throws -> CredentialProvider {
    let (settings, files) = try settings(environment, config: config, credentials: credentials)
    return CredentialProvider(
        environment: environment, settings: settings, http: http, files: files, clock: { noon })
}
