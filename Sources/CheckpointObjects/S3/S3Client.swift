internal import CheckpointIO
internal import CheckpointStorage
internal import Foundation
internal import NIOCore
internal import Synchronization

/// Sends requests to one bucket: signed, answered, and sent again where that can help.
final class S3Client: Sendable {
    private let settings: Settings
    private let credentials: any CredentialProviding
    private let transport: HTTPTransport
    private let state: Monitor<State>
    /// Requests sent so far, of all kinds.
    let requestCount = Atomic<Int>(0)

    /// The settings of all requests.
    struct Settings: Sendable {
        var region: String
        /// The address of the bucket in a region; nil if the store has one address, whatever
        /// region it says that it is in.
        var addressInRegion: (@Sendable (String) -> S3Endpoint)?
        /// Headers of every request.
        var headers: [(String, String)] = []
        /// Headers of a request that creates an object, or begins to.
        var creationHeaders: [(String, String)] = []
        /// Headers of a request that reads an object or uploads a part; with keys, secret.
        var keyHeaders: [(String, String)] = []
        /// True if the signature covers the bodies, which TLS does already.
        var signsBodies = false
        var retries = RetryPolicy()
        /// Asks for no request to be sent again; nil if nothing does.
        var cancellation: Cancellation?
        /// Time of one request, besides a second for each MiB.
        var requestTime = Duration.seconds(30)
    }

    private struct State {
        var endpoint: S3Endpoint
        var region: String
        /// Seconds that are added to the time of this machine, because the store has refused it.
        var clockOffset = 0.0
        /// Seconds by which the clock of the store is ahead of this machine's.
        var clockSkew: Double?
        /// True after the first answer, of whatever kind.
        var hasAnswered = false
    }

    /// Creates a client; sends nothing.
    ///
    /// - Parameters:
    ///   - endpoint: the address of the bucket.
    ///   - settings: what holds for every request.
    ///   - credentials: who gives the credentials.
    ///   - transport: how requests are sent.
    init(
        endpoint: S3Endpoint, settings: Settings, credentials: any CredentialProviding,
        transport: HTTPTransport
    ) {
        self.settings = settings
        self.credentials = credentials
        self.transport = transport
        state = Monitor(State(endpoint: endpoint, region: settings.region))
    }

    /// Waits before a request is sent again.
    ///
    /// - Parameters:
    ///   - attempt: number of requests that have failed, from 1.
    ///   - start: time of the first.
    ///   - wish: seconds that the store asks to wait.
    /// - Returns: false if it is not to be sent again.
    func pause(
        after attempt: Int, since start: ContinuousClock.Instant, wish: Double? = nil
    ) -> Bool {
        let hasAnswered = state.withLock(\.hasAnswered)
        let policy = hasAnswered ? settings.retries : settings.retries.beforeFirstAnswer
        let pause = policy.pause(
            after: attempt, wish: wish, elapsed: ContinuousClock.now - start,
            draw: Double.random(in: 0...1))
        guard let pause else { return false }
        guard let cancellation = settings.cancellation else {
            Thread.sleep(forTimeInterval: pause)
            return true
        }
        return !cancellation.wait(for: .seconds(pause))
    }

    /// Seconds by which the clock of the store is ahead, by its last answer; nil before the first.
    var clockSkew: Double? { state.withLock { $0.clockSkew } }

    /// The outcome of a request.
    enum Outcome {
        /// The last answer, of any verdict but `again` and, if it was repeated, `corrupted`.
        case answered(S3Answer, filled: Int)
        /// There was no answer, or only answers that promise nothing. The store may have acted.
        case unknown(isAnswered: Bool, text: String)
        /// Nothing was sent, for want of credentials, or of trust in the host.
        case notSent(ObjectStoreError.Kind, text: String)
    }

    /// Sends a request until there is an answer that decides, or the retries are used up.
    ///
    /// - Parameters:
    ///   - request: the request.
    ///   - isRepeated: false if the caller, who first finds out what the request has done, repeats
    ///     it. What the store refuses for the clock or the credentials is always sent again.
    func send(_ request: S3Request, isRepeated: Bool = true) -> Outcome {
        unsafe send(request, into: nil, isRepeated: isRepeated)
    }

    /// Sends a request until there is an answer that decides, or the retries are used up.
    ///
    /// - Parameters:
    ///   - request: the request.
    ///   - destination: memory for the body of an answer; nil collects it.
    ///   - isRepeated: false if the caller, who first finds out what the request has done, repeats
    ///     it. What the store refuses for the clock or the credentials is always sent again.
    func send(
        _ request: S3Request, into destination: UnsafeMutableRawBufferPointer?,
        isRepeated: Bool = true
    ) -> Outcome {
        let start = ContinuousClock.now
        var attempt = 0
        var hasRefreshed = false
        var hasMoved = false
        var hasCorrectedClock = false
        while true {
            attempt += 1
            let wish: Double?
            let unknown: Outcome
            switch unsafe exchange(request, into: destination) {
            case .success(let exchanged):
                let (answer, filled) = (exchanged.answer, exchanged.filled)
                switch answer.verdict {
                case .again(let after):
                    wish = after
                    unknown = .unknown(isAnswered: true, text: answer.text)
                case .corrupted where isRepeated, .conflict where isRepeated:
                    wish = nil
                    unknown = .unknown(isAnswered: true, text: answer.text)
                case .skewed where !hasCorrectedClock:
                    hasCorrectedClock = true
                    correctClock()
                    continue
                // An answer to HEAD has no body that could say why.
                case .denied where !hasCorrectedClock && answer.body.isEmpty && isClockFarOff:
                    hasCorrectedClock = true
                    correctClock()
                    continue
                case .expired where !hasRefreshed:
                    hasRefreshed = true
                    guard let used = exchanged.credentials,
                        // If there are no others, the answer says what is wrong with these.
                        (try? credentials.refresh(after: used)) != nil
                    else { return .answered(answer, filled: filled) }
                    continue
                case .elsewhere(let region) where !hasMoved:
                    hasMoved = true
                    move(to: region)
                    continue
                default:
                    let isWhole = unsafe destination.map { $0.count == filled } ?? true
                    guard answer.verdict == .success, !isWhole else {
                        return .answered(answer, filled: filled)
                    }
                    wish = nil
                    unknown = .unknown(
                        isAnswered: true,
                        text: "the response has a different size than requested: \(filled) bytes")
                }
            case .failure(.noCredentials(let text)):
                return .notSent(.denied, text: text)
            case .failure(.noAnswer(let failure)):
                if failure.kind == .untrusted {
                    return .notSent(.untrusted, text: failure.text)
                }
                wish = nil
                unknown = .unknown(isAnswered: false, text: failure.text)
            }
            guard isRepeated, pause(after: attempt, since: start, wish: wish) else {
                return unknown
            }
        }
    }

    /// A request that was answered.
    private struct Exchanged {
        var answer: S3Answer
        /// Number of bytes that came for the caller's memory.
        var filled: Int
        /// The credentials of the request; nil if it was not signed.
        var credentials: Credentials?
    }

    private enum NoExchange: Error {
        case noCredentials(String)
        case noAnswer(HTTPFailure)
    }

    /// Signs and sends a request once.
    private func exchange(
        _ request: S3Request, into destination: UnsafeMutableRawBufferPointer?
    ) -> Result<Exchanged, NoExchange> {
        requestCount.add(1, ordering: .relaxed)
        let (endpoint, region, offset) = state.withLock {
            ($0.endpoint, $0.region, $0.clockOffset)
        }
        let path = endpoint.path(of: request.key)
        var headers = request.headers + settings.headers + self.headers(for: request)
        headers.append(("host", endpoint.hostHeader))
        var used: Credentials?
        do {
            if let current = try credentials.credentials() {
                headers += RequestSigner(service: "s3", region: region).sign(
                    method: request.method, path: path, query: request.query, headers: headers,
                    payloadHash: payloadHash(of: request), credentials: current,
                    date: Date(timeIntervalSinceNow: offset))
                used = current
            }
        } catch { return .failure(.noCredentials("\(error)")) }
        let query = RequestSigner.encoded(request.query)
        let url = endpoint.origin + path + (query.isEmpty ? "" : "?\(query)")
        let bytes = unsafe (request.body?.readableBytes ?? 0) + (destination?.count ?? 0)
        do throws(HTTPFailure) {
            var (answer, filled) = unsafe try transport.send(
                request.method, url, headers: headers, body: request.body, into: destination,
                timeout: settings.requestTime + .seconds(bytes >> 20))
            answer.secrets = (used?.secrets ?? []) + settings.keyHeaders.map(\.1)
            noteClock(answer)
            return .success(Exchanged(answer: answer, filled: filled, credentials: used))
        } catch { return .failure(.noAnswer(error)) }
    }

    /// Returns the headers that a request needs for the kind of thing that it does to an object.
    private func headers(for request: S3Request) -> [(String, String)] {
        let names = Set(request.query.map(\.0))
        switch request.method {
        case "PUT" where names.isEmpty: return settings.creationHeaders
        case "POST" where names == ["uploads"]: return settings.creationHeaders
        // Of an upload with checksums, the store needs the key for its end, too.
        case "PUT", "HEAD", "POST": return settings.keyHeaders
        case "GET" where names.isEmpty: return settings.keyHeaders
        default: return []
        }
    }

    private func payloadHash(of request: S3Request) -> String {
        guard settings.signsBodies else { return RequestSigner.unsignedPayload }
        guard let body = request.body else { return RequestSigner.hash([]) }
        return unsafe body.withUnsafeReadableBytes { unsafe RequestSigner.hash($0) }
    }

    /// Sends requests to another region from now on.
    private func move(to region: String) {
        state.withLock { state in
            state.region = region
            if let address = settings.addressInRegion { state.endpoint = address(region) }
        }
    }

    /// Takes over the time of the store, by which requests are dated from now on.
    private func correctClock() {
        state.withLock { $0.clockOffset = $0.clockSkew ?? $0.clockOffset }
    }

    /// True if requests are dated so far from the time of the store that it may refuse them: AWS
    /// allows 15 minutes.
    private var isClockFarOff: Bool {
        state.withLock { abs(($0.clockSkew ?? $0.clockOffset) - $0.clockOffset) > 600 }
    }

    private func noteClock(_ answer: S3Answer) {
        let date = answer.headers["date"].flatMap { HTTPDate.read($0) }
        state.withLock { state in
            state.hasAnswered = true
            if let date { state.clockSkew = date - Date.now.timeIntervalSince1970 }
        }
    }
}
