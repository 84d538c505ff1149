internal import AsyncHTTPClient
internal import CheckpointIO
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL
internal import SystemPackage

/// Sends HTTP requests, and waits for the answers, over connections that are used again.
final class HTTPTransport: Sendable {
    /// The way to the host.
    struct Route: Sendable, Equatable {
        /// A file of certificates that are trusted instead of those of the system.
        var certificateFile: String?
        var proxy: ProxyAddress?
        /// The addresses of hosts, for those that are not to be looked up.
        var addresses: [String: String] = [:]
    }

    private let client: HTTPClient
    /// The threads of all connections: not those that NIO shares, because these are background
    /// threads, like the engine's. A thread that is copying what a mirror sends must not displace
    /// one that trains.
    private static let loops = WorkerThread.withoutSignals {
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: min(System.coreCount, 4))
        for loop in loops.makeIterator() {
            loop.execute { WorkerThread.enterBackground(niceness: niceness) }
        }
        return loops
    }
    /// Nice value of these threads (sched(7)).
    package static let niceness: Int32 = 10

    /// Time without a byte after which a connection counts as broken.
    private static let idle = TimeAmount.seconds(20)

    /// Creates a transport without connections.
    ///
    /// - Parameters:
    ///   - route: how to reach the host.
    ///   - connectTime: time until a connection must be there.
    init(_ route: Route, connectTime: Duration = .seconds(5)) {
        var tls = TLSConfiguration.makeClientConfiguration()
        if let file = route.certificateFile { tls.trustRoots = .file(file) }
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: tls, redirectConfiguration: .disallow,
            timeout: .init(
                connect: .nanoseconds(Int64(connectTime / .nanoseconds(1))), read: Self.idle),
            connectionPool: .init(
                idleTimeout: .seconds(30), concurrentHTTP1ConnectionsPerHostSoftLimit: 32),
            proxy: route.proxy.map(Self.proxy),
            decompression: .disabled)
        // How often a request is tried is for `RetryPolicy` to say.
        configuration.connectionPool.retryConnectionEstablishment = false
        // Parts are sent over connections of their own.
        configuration.httpVersion = .http1Only
        configuration.dnsOverride = route.addresses
        client = HTTPClient(
            eventLoopGroupProvider: .shared(Self.loops), configuration: configuration)
    }

    private static func proxy(_ address: ProxyAddress) -> HTTPClient.Configuration.Proxy {
        precondition(!address.isSecure, "its password would be sent in plain text")
        // The library wants IPv6 addresses without brackets.
        let host = address.host.trimmingCharacters(in: ["[", "]"])
        guard let user = address.user else { return .server(host: host, port: address.port) }
        return .server(
            host: host, port: address.port,
            authorization: .basic(username: user, password: address.password ?? ""))
    }

    deinit {
        // Nothing can be done about a socket that cannot be closed.
        try? client.syncShutdown()
    }

    /// Sends a request.
    ///
    /// - Parameters:
    ///   - method: the method.
    ///   - url: the URL.
    ///   - headers: the headers, without those of the connection and of the body's length.
    ///   - body: the body; nil for none.
    ///   - timeout: time until the whole answer is there.
    /// - Throws: what has happened instead of an answer.
    func send(
        _ method: String, _ url: String, headers: [(String, String)], body: ByteBuffer?,
        timeout: Duration
    ) throws(HTTPFailure) -> S3Answer {
        unsafe try send(
            method, url, headers: headers, body: body, into: nil, timeout: timeout
        ).answer
    }

    /// Sends a request.
    ///
    /// - Parameters:
    ///   - method: the method.
    ///   - url: the URL.
    ///   - headers: the headers, without those of the connection and of the body's length.
    ///   - body: the body; nil for none.
    ///   - destination: memory for the body of an answer 200 or 206; nil collects it.
    ///   - timeout: time until the whole answer is there.
    /// - Returns: the answer, and the number of bytes that came for `destination`, also of those
    ///   that have no room there.
    /// - Throws: what has happened instead.
    func send(
        _ method: String, _ url: String, headers: [(String, String)], body: ByteBuffer?,
        into destination: UnsafeMutableRawBufferPointer?, timeout: Duration
    ) throws(HTTPFailure) -> (answer: S3Answer, filled: Int) {
        let receiver = unsafe ResponseReceiver(destination)
        // Nothing is written into the caller's memory after this call.
        defer { receiver.close() }
        do {
            let request = try HTTPClient.Request(
                url: url, method: HTTPMethod(rawValue: method), headers: HTTPHeaders(headers),
                body: body.map { .byteBuffer($0) })
            let deadline = NIODeadline.now() + .nanoseconds(Int64(timeout / .nanoseconds(1)))
            return try client.execute(request: request, delegate: receiver, deadline: deadline)
                .wait()
        } catch { throw HTTPFailure(error, after: timeout) }
    }
}

/// Receives one answer, on the thread of its connection.
private final class ResponseReceiver: HTTPClientResponseDelegate {
    private struct State {
        var status = 0
        var headers: [String: String] = [:]
        var body: [UInt8] = []
        var filled = 0
        /// Memory of the caller, who waits until `close`.
        var destination: Destination?
    }

    /// Memory of the caller.
    @safe
    private struct Destination: @unchecked Sendable {
        private let memory: UnsafeMutableRawBufferPointer

        init(_ memory: UnsafeMutableRawBufferPointer) { unsafe self.memory = memory }

        var count: Int { unsafe memory.count }

        /// Copies as much as there is room for.
        func fill(from buffer: ByteBuffer, at offset: Int) {
            let count = min(max(count - offset, 0), buffer.readableBytes)
            guard count > 0 else { return }
            unsafe buffer.withUnsafeReadableBytes { bytes in
                unsafe UnsafeMutableRawBufferPointer(rebasing: memory[offset...])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            }
        }
    }

    private struct TooLarge: Error {}

    private let state: Monitor<State>

    init(_ destination: UnsafeMutableRawBufferPointer?) {
        var state = State()
        if let memory = unsafe destination { state.destination = unsafe Destination(memory) }
        self.state = Monitor(state)
    }

    /// Lets go of the caller's memory.
    func close() { state.withLock { $0.destination = nil } }

    func didReceiveHead(
        task: HTTPClient.Task<Response>, _ head: HTTPResponseHead
    ) -> EventLoopFuture<Void> {
        state.withLock { state in
            state.status = Int(head.status.code)
            state.headers = Dictionary(
                head.headers.map { ($0.name.lowercased(), $0.value) },
                uniquingKeysWith: { first, _ in first })
        }
        return task.eventLoop.makeSucceededVoidFuture()
    }

    func didReceiveBodyPart(
        task: HTTPClient.Task<Response>, _ buffer: ByteBuffer
    ) -> EventLoopFuture<Void> {
        let hasRoom = state.withLock { state in
            guard let destination = state.destination, [200, 206].contains(state.status) else {
                guard state.body.count + buffer.readableBytes <= S3Answer.bodyBytesMax else {
                    return false
                }
                state.body += buffer.readableBytesView
                return true
            }
            destination.fill(from: buffer, at: state.filled)
            state.filled += buffer.readableBytes
            // More than was asked for is not read to its end.
            return state.filled <= destination.count
        }
        return hasRoom
            ? task.eventLoop.makeSucceededVoidFuture()
            : task.eventLoop.makeFailedFuture(TooLarge())
    }

    func didFinishRequest(
        task: HTTPClient.Task<Response>
    ) throws -> (answer: S3Answer, filled: Int) {
        state.withLock { state in
            let answer = S3Answer(
                status: state.status, headers: state.headers, body: state.body)
            return (answer, state.filled)
        }
    }

    typealias Response = (answer: S3Answer, filled: Int)
}
