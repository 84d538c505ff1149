import CheckpointIO
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

@testable import CheckpointObjects

/// An HTTP server whose answers the test makes, and which remembers the requests.
final class ScriptedServer: Sendable {
    private struct State {
        var requests: [RequestHandler.Arrived] = []
        var connections = 0
        /// Requests that are being answered, now and at most.
        var (running, runningMax) = (0, 0)
    }

    private let state = Monitor(State(), rank: .unchecked)
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channel: any Channel

    /// Starts to listen on the loopback.
    ///
    /// - Parameters:
    ///   - isSecure: whether it speaks TLS, with the test's certificate.
    ///   - answer: makes an answer, on a thread of its own.
    init(
        isSecure: Bool = false, _ answer: @escaping @Sendable (RequestHandler.Arrived) -> S3Answer
    ) throws {
        let state = state
        let tls = isSecure ? try Self.tls() : nil
        channel = try ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                state.withLock { $0.connections += 1 }
                return channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
                    }
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(
                        RequestHandler { arrived, channel in
                            Thread.detachNewThread {
                                state.withLock { state in
                                    state.requests.append(arrived)
                                    state.running += 1
                                    state.runningMax = max(state.runningMax, state.running)
                                }
                                let made = answer(arrived)
                                state.withLock { $0.running -= 1 }
                                Self.send(made, arrived, channel)
                            }
                        })
                }
            }
            .bind(host: "127.0.0.1", port: 0).wait()
    }

    private static func tls() throws -> NIOSSLContext {
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(TestCertificate.certificate.utf8))
        let key = try NIOSSLPrivateKey(bytes: Array(TestCertificate.key.utf8), format: .pem)
        return try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key)))
    }

    private static func send(
        _ answer: S3Answer, _ arrived: RequestHandler.Arrived, _ channel: any Channel
    ) {
        var headers = HTTPHeaders(answer.headers.map { ($0.key, $0.value) })
        if headers["content-length"].isEmpty {
            headers.add(name: "content-length", value: "\(answer.body.count)")
        }
        channel.write(
            HTTPServerResponsePart.head(
                .init(version: .http1_1, status: .init(statusCode: answer.status), headers: headers)),
            promise: nil)
        if !answer.body.isEmpty, arrived.head.method != .HEAD {
            channel.write(
                HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: answer.body))), promise: nil)
        }
        channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
    }

    var port: Int { channel.localAddress?.port ?? 0 }
    var requests: [RequestHandler.Arrived] { state.withLock { $0.requests } }
    var connections: Int { state.withLock { $0.connections } }
    /// Maximum number of requests that were being answered at the same time.
    var runningMax: Int { state.withLock { $0.runningMax } }

    /// Ends all connections.
    func stop() {
        try? channel.close().wait()
        try? group.syncShutdownGracefully()
    }
}

extension S3Answer {
    /// An answer that a bucket would give to requests for objects and uploads.
    static func usual(to arrived: RequestHandler.Arrived) -> S3Answer {
        let (method, uri) = (arrived.head.method, arrived.head.uri)
        if method == .POST, uri.hasSuffix("uploads=") {
            return S3Answer(status: 200, headers: [:], body: Array("<X><UploadId>u</UploadId></X>".utf8))
        }
        return S3Answer(status: 200, headers: ["etag": "\"e\""], body: [])
    }

    /// An answer with an error in its body.
    static func error(_ status: Int, _ code: String, _ message: String = "") -> S3Answer {
        let body = "<Error><Code>\(code)</Code><Message>\(message)</Message></Error>"
        return S3Answer(status: status, headers: [:], body: Array(body.utf8))
    }
}
