import CheckpointIO
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

@testable import CheckpointObjects

/// Stands between a client and an object store, and lets one request go wrong.
final class FaultProxy: Sendable {
    /// A way in which a request goes wrong.
    enum Fault: String, CaseIterable {
        case internalError
        case slowDown
        case conflict
        case preconditionFailed
        case expiredToken
        /// The connection breaks before the store has seen the request.
        case resetBefore
        /// The connection breaks after the store has acted.
        case resetAfter
        /// The body of the answer ends early.
        case truncated
        /// One bit of the answer's body is flipped; of a request that has a body, of that.
        case flipped
        /// No answer, ever.
        case stalled
        /// The store sees the request twice, the client the second answer.
        case duplicated
    }

    /// A store that does not do what the protocol says, in all its answers.
    enum Manner: Sendable, Equatable {
        /// It creates an object although the request forbids that if there is one.
        case ignoresCondition
        /// It does not know the condition, and says so, as OpenStack Swift does.
        case refusesCondition
        /// Its clock is ahead, and it refuses requests of another time.
        case ahead(hours: Int)
        /// It is in the region eu-test-1, and sends everybody there.
        case inAnotherRegion
        /// It compares bodies with their XXH3-128 too, and says so.
        case knowsXXH128
        /// It knows no digest but MD5, and drops the headers of others.
        case dropsChecksums
        /// It compares nothing.
        case dropsDigests
        /// It does not list uploads in parts.
        case listsNoUploads
        /// As `dropsDigests`, and of each body longer than a few bytes it stores another one.
        case corruptsBodies
    }

    private struct State {
        /// The ways that end at once, and after which the same request can succeed.
        private let quick = Fault.allCases.filter {
            ![.stalled, .slowDown, .preconditionFailed, .flipped].contains($0)
        }
        var count = 0
        var fault: Fault?
        var target = 0
        /// Every so many requests one goes wrong, in a different way each time; 0 for none.
        var period = 0
        var manner: Manner?
        var refused = 0

        /// Addresses that were answered with an expired token.
        var expired: Set<String> = []

        /// Returns what happens to a request of this number.
        mutating func fault(of request: Int, to uri: String) -> Fault? {
            guard period > 0 else { return request == target ? fault : nil }
            guard request % period == period - 1 else { return nil }
            let fault = quick[request / period % quick.count]
            guard case .expiredToken = fault else { return fault }
            // New credentials that have expired, too, are an error, and not what is tested.
            return expired.insert(uri).inserted ? fault : nil
        }
        /// Removes the object of a path.
        var remove: @Sendable (String) -> Void = { _ in }
    }

    typealias Arrived = RequestHandler.Arrived

    private let transport = HTTPTransport(.init())
    private let creating = Monitor((), rank: .unchecked)
    private let server: S3Endpoint
    private let state = Monitor(State(), rank: .unchecked)
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channel: any Channel

    /// Starts to listen.
    ///
    /// - Parameter server: the object store.
    init(_ server: S3Endpoint) throws {
        self.server = server
        channel = try Self.listen(on: group, for: handler)
        handler.proxy.withLock { $0 = self }
    }

    private static func listen(
        on group: MultiThreadedEventLoopGroup, for box: HandlerBox
    ) throws -> any Channel {
        try ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(
                        RequestHandler { arrived, channel in
                            box.proxy.withLock { $0 }?.handle(arrived, channel)
                        })
                }
            }
            .bind(host: "127.0.0.1", port: 0).wait()
    }

    /// Refers to the proxy from its connections.
    private final class HandlerBox: Sendable {
        let proxy = Monitor<FaultProxy?>(nil, rank: .unchecked)
    }

    private let handler = HandlerBox()

    /// Ends all connections.
    func stop() {
        handler.proxy.withLock { $0 = nil }
        try? channel.close().wait()
        try? group.syncShutdownGracefully()
    }

    /// The way to the store through this proxy.
    var endpoint: S3Endpoint {
        var endpoint = server
        endpoint.port = channel.localAddress?.port
        return endpoint
    }

    /// Number of requests that have arrived.
    var count: Int { state.withLock { $0.count } }

    /// Lets a coming request go wrong.
    ///
    /// - Parameters:
    ///   - fault: what happens to it; nil for nothing.
    ///   - request: number of requests before it.
    func plan(_ fault: Fault?, at request: Int) {
        state.withLock { $0 = State(fault: fault, target: request) }
    }

    /// Lets every so many requests one go wrong, in all ways in turn that end at once.
    func plan(every period: Int) { state.withLock { $0 = State(period: period) } }

    /// Lets the store seem to be another one, until the next plan.
    ///
    /// - Parameter remove: removes the object of a path, so that it can be created again.
    func imitate(_ manner: Manner, remove: @escaping @Sendable (String) -> Void) {
        state.withLock { $0 = State(manner: manner, remove: remove) }
    }

    private func handle(_ arrived: Arrived, _ channel: any Channel) {
        let (plan, fault) = state.withLock { state in
            defer { state.count += 1 }
            return (state, state.fault(of: state.count, to: arrived.head.uri))
        }
        // The request is passed on by a thread of its own, which may wait.
        Thread.detachNewThread {
            if let manner = plan.manner {
                self.answer(arrived, manner, plan.remove, channel)
            } else {
                self.answer(arrived, fault, channel)
            }
        }
    }

    /// Answers a request as a store of this manner does.
    private func answer(
        _ arrived: Arrived, _ manner: Manner, _ remove: (String) -> Void, _ channel: any Channel
    ) {
        var arrived = arrived
        let hasCondition = arrived.head.headers.contains(name: "if-none-match")
        switch manner {
        case .refusesCondition where hasCondition:
            let body = "<Error><Code>NotImplemented</Code><Message>If-None-Match</Message></Error>"
            send(S3Answer(status: 501, headers: [:], body: Array(body.utf8)), arrived, channel)
        case .ignoresCondition where hasCondition:
            // One at a time, or of two removals before two creates one would be refused.
            let answer = creating.withLock { _ in
                remove(arrived.head.uri)
                return pass(arrived)
            }
            send(answer, arrived, channel)
        case .refusesCondition, .ignoresCondition: send(pass(arrived), arrived, channel)
        case .listsNoUploads where arrived.head.uri.contains("uploads="):
            let body = "<Error><Code>NotImplemented</Code></Error>"
            send(S3Answer(status: 501, headers: [:], body: Array(body.utf8)), arrived, channel)
        case .listsNoUploads: send(pass(arrived), arrived, channel)
        case .knowsXXH128: send(comparingXXH128(arrived), arrived, channel)
        case .ahead(let hours): send(comparingTime(arrived, hours), arrived, channel)
        case .inAnotherRegion:
            let scope = arrived.head.headers.first(name: "authorization") ?? ""
            guard !scope.contains("/eu-test-1/s3/") else {
                return send(pass(signed(arrived)), arrived, channel)
            }
            countRefusal()
            send(
                S3Answer(
                    status: 301, headers: ["x-amz-bucket-region": "eu-test-1"],
                    body: Array("<Error><Code>PermanentRedirect</Code></Error>".utf8)),
                arrived, channel)
        case .dropsChecksums, .dropsDigests, .corruptsBodies:
            for (name, _) in arrived.head.headers {
                let isChecksum = name.lowercased().hasPrefix("x-amz-checksum")
                guard isChecksum || name.lowercased() == "content-md5" && manner != .dropsChecksums
                else { continue }
                arrived.head.headers.remove(name: name)
            }
            if manner == .corruptsBodies, arrived.head.method == .PUT {
                arrived = flipped(arrived, from: 64) ?? arrived
            }
            send(pass(signed(arrived)), arrived, channel)
        }
    }

    private func comparingTime(_ arrived: Arrived, _ hours: Int) -> S3Answer {
        let now = Date(timeIntervalSinceNow: Double(hours) * 3600)
        let wanted = RequestSigner(service: "s3", region: "").sign(
            method: "", path: "", query: [], headers: [], payloadHash: "",
            credentials: .init(accessKeyID: "", secretAccessKey: ""), date: now
        ).first { $0.0 == "x-amz-date" }?.1
        // The same hour is near enough.
        let sent = arrived.head.headers.first(name: "x-amz-date")
        var answer: S3Answer
        if let sent, let wanted, sent.prefix(11) == wanted.prefix(11) {
            answer = pass(signed(arrived))
        } else {
            countRefusal()
            let body = "<Error><Code>RequestTimeTooSkewed</Code></Error>"
            answer = S3Answer(status: 403, headers: [:], body: Array(body.utf8))
        }
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = .gmt
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        answer.headers["date"] = format.string(from: now)
        return answer
    }

    private func countRefusal() { state.withLock { $0.refused += 1 } }

    /// Number of requests that a store in the other region, or with the other time, has refused.
    var refused: Int { state.withLock { $0.refused } }

    private func comparingXXH128(_ arrived: Arrived) -> S3Answer {
        let name = "x-amz-checksum-xxhash128"
        var arrived = arrived
        let sent = arrived.head.headers.first(name: name)
        for name in [name, "x-amz-checksum-algorithm", "x-amz-checksum-type"] {
            arrived.head.headers.remove(name: name)
        }
        let digest = BodyDigest(.xxh128, of: arrived.body ?? ByteBuffer())
        guard let sent else { return pass(signed(arrived)) }
        guard sent == digest.text else {
            let body = "<Error><Code>BadDigest</Code><Message>XXHASH128</Message></Error>"
            return S3Answer(status: 400, headers: [:], body: Array(body.utf8))
        }
        var answer = pass(signed(arrived))
        answer.headers[name] = digest.text
        return answer
    }

    /// Signs a request again, some of whose headers were removed.
    private func signed(_ arrived: Arrived) -> Arrived {
        var arrived = arrived
        for name in ["authorization", "x-amz-date", "x-amz-content-sha256"] {
            arrived.head.headers.remove(name: name)
        }
        guard let parts = URLComponents(string: arrived.head.uri),
            let credentials = ObjectServer.shared?.credentials
        else { return arrived }
        let unsigned = ["connection", "content-length", "transfer-encoding"]
        let headers = arrived.head.headers.map { ($0.name, $0.value) }
        let added = RequestSigner(service: "s3", region: "us-east-1").sign(
            method: arrived.head.method.rawValue, path: parts.percentEncodedPath,
            query: parts.queryItems?.map { ($0.name, $0.value ?? "") } ?? [],
            headers: headers.filter { !unsigned.contains($0.0.lowercased()) },
            payloadHash: RequestSigner.unsignedPayload, credentials: credentials, date: Date())
        for (name, value) in added { arrived.head.headers.add(name: name, value: value) }
        return arrived
    }

    /// Returns a request with one bit of its body flipped; nil if the body is shorter.
    private func flipped(_ arrived: Arrived, from byteCount: Int = 1) -> Arrived? {
        var arrived = arrived
        guard var body = arrived.body, body.readableBytes >= byteCount else { return nil }
        let middle = body.readerIndex + body.readableBytes / 2
        let byte: UInt8 = body.getInteger(at: middle) ?? 0
        body.setInteger(byte ^ 4, at: middle)
        arrived.body = body
        return arrived
    }

    private func answer(_ arrived: Arrived, _ fault: Fault?, _ channel: any Channel) {
        func refuse(_ status: Int, _ code: String, _ headers: [(String, String)] = []) {
            let body = "<Error><Code>\(code)</Code><Message>planned</Message></Error>"
            send(
                S3Answer(
                    status: status, headers: Dictionary(uniqueKeysWithValues: headers),
                    body: Array(body.utf8)), arrived, channel)
        }
        switch fault {
        case .internalError: refuse(500, "InternalError")
        case .slowDown: refuse(503, "SlowDown", [("retry-after", "1")])
        case .conflict: refuse(409, "ConditionalRequestConflict")
        case .preconditionFailed: refuse(412, "PreconditionFailed")
        case .expiredToken: refuse(400, "ExpiredToken")
        case .resetBefore: channel.close(promise: nil)
        case .stalled: return
        case .resetAfter:
            _ = pass(arrived)
            channel.close(promise: nil)
        case .duplicated:
            _ = pass(arrived)
            send(pass(arrived), arrived, channel)
        case .truncated:
            send(pass(arrived), arrived, channel, isTruncated: true)
        case .flipped:
            if let flipped = flipped(arrived) {
                send(pass(flipped), flipped, channel)
            } else {
                var answer = pass(arrived)
                if !answer.body.isEmpty { answer.body[answer.body.count / 2] ^= 4 }
                send(answer, arrived, channel)
            }
        case nil: send(pass(arrived), arrived, channel)
        }
    }

    private func pass(_ arrived: Arrived) -> S3Answer {
        let skipped = ["connection", "content-length", "transfer-encoding"]
        let headers = arrived.head.headers.filter { !skipped.contains($0.name.lowercased()) }
            .map { ($0.name, $0.value) }
        do {
            // The body of a range may be larger than what a client collects.
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 20, alignment: 1)
            defer { unsafe memory.deallocate() }
            let isRange = arrived.head.headers.contains(name: "range")
            var (answer, filled) = unsafe try transport.send(
                arrived.head.method.rawValue, server.origin + arrived.head.uri, headers: headers,
                body: arrived.body, into: isRange ? memory : nil, timeout: .seconds(60))
            if filled > 0 { answer.body = unsafe Array(memory[..<filled]) }
            return answer
        } catch { return S3Answer(status: 502, headers: [:], body: []) }
    }

    private func send(
        _ answer: S3Answer, _ arrived: Arrived, _ channel: any Channel, isTruncated: Bool = false
    ) {
        var headers = HTTPHeaders(
            answer.headers.filter { !["connection", "transfer-encoding"].contains($0.key) }
                .map { ($0.key, $0.value) })
        if arrived.head.method != .HEAD {
            headers.replaceOrAdd(name: "content-length", value: "\(answer.body.count)")
        }
        let head = HTTPResponseHead(
            version: .http1_1, status: .init(statusCode: answer.status), headers: headers)
        let sent = isTruncated ? answer.body.prefix(answer.body.count / 2) : answer.body[...]
        channel.write(HTTPServerResponsePart.head(head), promise: nil)
        if isTruncated {
            channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: sent))))
                .whenComplete { _ in channel.close(promise: nil) }
            return
        }
        if !sent.isEmpty, arrived.head.method != .HEAD {
            channel.write(
                HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: sent))), promise: nil)
        }
        channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
    }
}
