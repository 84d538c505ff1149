internal import Foundation
internal import NIOCore

/// Sends the requests of those who look for credentials.
struct CredentialHTTP: SmallHTTP {
    private let settings: S3Settings

    init(_ settings: S3Settings) { self.settings = settings }

    /// Maximum size of an answer in bytes.
    private static let bodyBytesMax = 1 << 20

    func send(_ request: SmallRequest) throws(SmallHTTPError) -> SmallResponse {
        let url = URL(string: request.url)
        let proxy =
            request.isLocal
            ? nil
            : settings.proxy(
                forHost: url?.host() ?? "", isSecure: url?.scheme?.lowercased() == "https")
        // Such requests are hours apart, and their hosts differ.
        let transport = HTTPTransport(
            .init(certificateFile: settings.certificateFile?.value, proxy: proxy),
            connectTime: .seconds(min(request.timeout, 5)))
        let answer: S3Answer
        do throws(HTTPFailure) {
            answer = try transport.send(
                request.method, request.url, headers: request.headers,
                body: request.body.isEmpty ? nil : ByteBuffer(bytes: request.body),
                timeout: .seconds(request.timeout))
        } catch {
            throw SmallHTTPError(error.kind == .timeout ? .timedOut : .unreachable, error.text)
        }
        guard answer.body.count <= Self.bodyBytesMax else {
            throw SmallHTTPError(.tooLarge, "the response is too large")
        }
        return SmallResponse(
            status: answer.status, headers: answer.headers.map { ($0.key, $0.value) },
            body: answer.body)
    }
}
