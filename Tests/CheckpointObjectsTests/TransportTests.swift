import CheckpointStorage
import CheckpointTestSupport
import Foundation
import NIOCore
import NIOHTTP1
import Testing

@testable import CheckpointObjects

/// The way to a host: TLS, proxies, connections.
@Suite("Transport", .timeLimit(.minutes(10)))
struct TransportTests {
    private let directory: TemporaryDirectory
    private let bundle: String

    init() throws {
        directory = try TemporaryDirectory()
        bundle = directory.appending("bundle.pem")
        try TestCertificate.certificate.write(toFile: bundle, atomically: true, encoding: .utf8)
    }

    private func get(_ url: String, _ route: HTTPTransport.Route) throws(HTTPFailure) -> Int {
        try HTTPTransport(route).send("GET", url, headers: [], body: nil, timeout: .seconds(20)).status
    }

    private func failure(_ url: String, _ route: HTTPTransport.Route) -> HTTPFailure? {
        do throws(HTTPFailure) {
            let status = try get(url, route)
            Issue.record("an answer \(status)")
            return nil
        } catch { return error }
    }

    @Test("A certificate is trusted if its file is given, and for its own names only")
    func certificates() throws {
        let server = try ScriptedServer(isSecure: true) { _ in S3Answer(status: 204, headers: [:], body: []) }
        defer { server.stop() }
        let trusting = HTTPTransport.Route(
            certificateFile: bundle, addresses: ["store.test": "127.0.0.1", "other.test": "127.0.0.1"])
        for host in ["localhost", "store.test"] {
            #expect(try get("https://\(host):\(server.port)/", trusting) == 204)
        }
        let untrusted = failure("https://localhost:\(server.port)/", .init())
        #expect(untrusted == HTTPFailure(.untrusted, "the certificate of the host is not trusted"))
        let other = failure("https://other.test:\(server.port)/", trusting)
        #expect(other == HTTPFailure(.untrusted, "the certificate of the host is for another name"))
        #expect(server.requests.count == 2)
    }

    @Test("A host without TLS, or without a port that listens, says so")
    func plain() throws {
        let server = try ScriptedServer { _ in S3Answer(status: 204, headers: [:], body: []) }
        let port = server.port
        #expect(
            failure("https://127.0.0.1:\(port)/", .init())
                == HTTPFailure(.untrusted, "the host does not use TLS at this port"))
        server.stop()
        for host in ["127.0.0.1", "localhost"] {
            let refused = failure("http://\(host):\(port)/", .init())
            #expect(refused?.kind == .disconnected && refused?.text.hasPrefix("no connection: ") == true, "\(refused as Any)")
        }
        let unknown = failure("http://host.invalid/", .init())
        #expect(unknown?.text.contains("host.invalid") == true, "\(unknown as Any)")
    }

    @Test("A host that is not trusted is asked once, and the error says what to do")
    func untrustedStore() throws {
        let server = try ScriptedServer(isSecure: true) { .usual(to: $0) }
        defer { server.stop() }
        let environment = [
            "AWS_ENDPOINT_URL": "https://localhost:\(server.port)", "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": Secret.key, "HOME": directory.path,
        ]
        let location = try #require(S3Location("s3://tests/a"))
        let objects = try S3Connection(to: location, environment: environment).objects
        let error = try #require(throws: ObjectStoreError.self) { try objects.size(of: "x") }
        #expect(error.kind == .untrusted)
        let shown = CheckpointError(error, in: location.description)
        #expect(shown.code == .io && shown.remedy?.contains("AWS_CA_BUNDLE") == true)
        #expect(server.connections == 1)
        let trusting = environment.merging(["AWS_CA_BUNDLE": bundle]) { $1 }
        #expect(try S3Connection(to: location, environment: trusting).objects.size(of: "x") == 0)
    }

    @Test("A file of certificates that is missing or holds none is an error of the settings",
        arguments: [(nil, "does not exist"), ("nothing", "no certificates")] as [(String?, String)])
    func bundles(_ content: String?, _ expected: String) throws {
        let path = directory.appending("other.pem")
        try content?.write(toFile: path, atomically: true, encoding: .utf8)
        let error = try #require(throws: CheckpointError.self) {
            _ = try S3Connection(
                to: #require(S3Location("s3://tests/a")), environment: ["AWS_CA_BUNDLE": path, "HOME": directory.path])
        }
        #expect(error.code == .misuse && error.message.contains(expected) && error.message.contains("AWS_CA_BUNDLE"), "\(error)")
    }

    @Test("Requests go through the proxy with its password, which the host does not get")
    func proxies() throws {
        let server = try ScriptedServer(isSecure: true) { .usual(to: $0) }
        let proxy = try ConnectProxy()
        defer {
            server.stop()
            proxy.stop()
        }
        let environment = [
            "AWS_ENDPOINT_URL": "https://store.test:\(server.port)", "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": Secret.key, "HOME": directory.path, "AWS_CA_BUNDLE": bundle,
            "HTTPS_PROXY": "http://me:secret-password@127.0.0.1:\(proxy.port)",
        ]
        let location = try #require(S3Location("s3://tests/a"))
        let objects = try S3Connection(to: location, environment: environment).objects
        #expect(try objects.size(of: "x") == 0)
        let asked = try #require(proxy.requests.first)
        #expect(asked.hasPrefix("CONNECT store.test:\(server.port) "))
        let password = Data("me:secret-password".utf8).base64EncodedString()
        #expect(asked.lowercased().contains("proxy-authorization: basic \(password.lowercased())"))
        #expect(server.requests.allSatisfy { $0.head.headers["proxy-authorization"].isEmpty })
        // An exception is reached directly: its name stands for nothing here.
        let direct = environment.merging(["NO_PROXY": ".test", "AWS_MAX_ATTEMPTS": "1"]) { $1 }
        #expect(throws: ObjectStoreError.self) {
            try S3Connection(to: location, environment: direct).objects.size(of: "x")
        }
        #expect(proxy.requests.count == 1)
    }

    @Test("Requests that follow each other use one connection")
    func reuse() throws {
        let server = try ScriptedServer { .usual(to: $0) }
        defer { server.stop() }
        let transport = HTTPTransport(.init())
        for number in 0..<50 {
            let body = number % 2 == 0 ? ByteBuffer(bytes: [1, 2, 3]) : nil
            _ = try transport.send(
                "PUT", "http://127.0.0.1:\(server.port)/\(number)", headers: [], body: body, timeout: .seconds(20))
        }
        #expect(server.requests.count == 50 && server.connections == 1)
    }

    @Test("One attempt is one connection")
    func oneAttempt() throws {
        let server = try ScriptedServer(isSecure: true) { .usual(to: $0) }
        defer { server.stop() }
        let begun = ContinuousClock.now
        #expect(failure("https://localhost:\(server.port)/", .init())?.kind == .untrusted)
        #expect(server.connections == 1 && ContinuousClock.now - begun < .seconds(4))
    }

    @Test("A host's name stands for its addresses, each once")
    func lookup() {
        #expect(HostLookup.addresses(of: "127.0.0.1") == ["127.0.0.1"])
        #expect(HostLookup.addresses(of: "localhost").contains("127.0.0.1"))
        #expect(HostLookup.addresses(of: "host.invalid").isEmpty)
    }
}
