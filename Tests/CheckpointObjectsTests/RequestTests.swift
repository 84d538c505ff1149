import CheckpointTestSupport
import Foundation
import CheckpointIO
import CheckpointStorage
import NIOHTTP1
import Testing

@testable import CheckpointObjects

/// The requests as a bucket gets them.
@Suite("Requests", .timeLimit(.minutes(10)))
struct RequestTests {
    private static let customerKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

    private func objects(
        _ server: ScriptedServer, _ environment: [String: String] = [:], parts: Int? = nil
    ) throws -> S3ObjectStore {
        let location = try #require(S3Location("s3://tests/a/b"))
        var location2 = location
        location2.options.endpoint = "http://127.0.0.1:\(server.port)"
        location2.options.key = .init(id: "AKID", secret: Secret.key, sessionToken: Secret.token)
        let connection = try S3Connection(
            to: location2, environment: ["HOME": "/nonexistent"].merging(environment) { $1 })
        var upload = S3ObjectStore.Upload()
        upload.partBytes = parts ?? upload.partBytes
        return S3ObjectStore(connection.client, location, upload: upload)
    }

    /// Sends one request of each kind, and returns their headers by method and query.
    private func exchanged(_ environment: [String: String]) throws -> [String: HTTPHeaders] {
        let server = try ScriptedServer { arrived in
            var answer = S3Answer.usual(to: arrived)
            if arrived.head.method == .HEAD { answer.headers["content-length"] = "300" }
            if arrived.head.method == .GET {
                answer = S3Answer(status: 206, headers: ["content-range": "bytes 0-1/300"], body: [1, 2])
            }
            return answer
        }
        defer { server.stop() }
        let objects = try objects(server, environment, parts: 200)
        try objects.create("manifests/m", [1, 2])
        try objects.upload("segments/s", from: MemoryFile(Array(repeating: 7, count: 300)))
        _ = try objects.bytes(of: "segments/s", count: 2)
        let pairs = server.requests.map { arrived -> (String, HTTPHeaders) in
            let query = arrived.head.uri.split(separator: "?").dropFirst().first ?? ""
            let names = query.split(separator: "&").map { $0.prefix { $0 != "=" } }
            return ("\(arrived.head.method) \(names.joined(separator: ","))", arrived.head.headers)
        }
        return Dictionary(pairs) { first, _ in first }
    }

    @Test("A customer's key goes with every request that touches the object's bytes")
    func customerKey() throws {
        let requests = try exchanged(["CKPT_S3_SSE_CUSTOMER_KEY": Self.customerKey])
        let name = "x-amz-server-side-encryption-customer-key"
        for kind in ["PUT ", "POST uploads", "PUT partNumber,uploadId", "POST uploadId", "HEAD ", "GET "] {
            #expect(requests[kind]?[name] == [Self.customerKey], "\(kind)")
        }
        #expect(requests.count == 6, "\(requests.keys)")
    }

    @Test("Encryption and storage class go with what creates an object, and no others")
    func creation() throws {
        let requests = try exchanged([
            "CKPT_S3_SSE": "aws:kms", "CKPT_S3_SSE_KMS_KEY_ID": "k1", "CKPT_S3_STORAGE_CLASS": "STANDARD_IA",
            "CKPT_S3_REQUEST_PAYER": "requester",
        ])
        for (kind, headers) in requests {
            let creates = ["PUT ", "POST uploads"].contains(kind)
            #expect(headers["x-amz-server-side-encryption"] == (creates ? ["aws:kms"] : []), "\(kind)")
            #expect(headers["x-amz-server-side-encryption-aws-kms-key-id"] == (creates ? ["k1"] : []), "\(kind)")
            #expect(headers["x-amz-storage-class"] == (creates ? ["STANDARD_IA"] : []), "\(kind)")
            #expect(headers["x-amz-request-payer"] == ["requester"], "\(kind)")
            #expect(headers["authorization"].first?.contains("Credential=AKID/") == true, "\(kind)")
            #expect(headers["x-amz-security-token"] == [Secret.token], "\(kind)")
        }
    }

    @Test("With virtual hosts the bucket is in the host's name, and not in the path")
    func virtualHost() throws {
        let server = try ScriptedServer { .usual(to: $0) }
        defer { server.stop() }
        let endpoint = S3Endpoint(
            isSecure: false, host: "store.test", port: server.port, bucket: "tests", isPathStyle: false)
        let client = S3Client(
            endpoint: endpoint, settings: .init(region: "us-east-1"), credentials: FixedCredentials(nil),
            transport: HTTPTransport(.init(addresses: ["tests.store.test": "127.0.0.1"])))
        try S3ObjectStore(client, #require(S3Location("s3://tests/a"))).create("x y", [1])
        let head = try #require(server.requests.first?.head)
        #expect(head.uri == "/a/x%20y" && head.headers["host"] == ["tests.store.test:\(server.port)"])
    }

    @Test("A bucket in another region is asked at its address there, and an error names the region")
    func otherRegion() throws {
        let there = try ScriptedServer { .usual(to: $0) }
        let here = try ScriptedServer { _ in
            S3Answer(status: 301, headers: ["x-amz-bucket-region": "eu-west-1"], body: [])
        }
        defer {
            there.stop()
            here.stop()
        }
        @Sendable func endpoint(_ port: Int) -> S3Endpoint {
            S3Endpoint(isSecure: false, host: "127.0.0.1", port: port, bucket: "tests", isPathStyle: true)
        }
        var settings = S3Client.Settings(region: "us-east-1")
        func objects() throws -> S3ObjectStore {
            let client = S3Client(
                endpoint: endpoint(here.port), settings: settings,
                credentials: FixedCredentials(.init(accessKeyID: "a", secretAccessKey: "b")),
                transport: HTTPTransport(.init()))
            return S3ObjectStore(client, try #require(S3Location("s3://tests/a")))
        }
        // A store with one address is asked there again.
        let stuck = try #require(throws: ObjectStoreError.self) { try objects().size(of: "x") }
        #expect(stuck.detail.contains("the bucket is in the region eu-west-1"), "\(stuck)")
        #expect(here.requests.count == 2)
        let port = there.port
        settings.addressInRegion = { region in endpoint(region == "eu-west-1" ? port : 1) }
        let moved = try objects()
        #expect(try moved.size(of: "x") == 0)
        #expect(try moved.size(of: "y") == 0)
        #expect(here.requests.count == 3 && there.requests.count == 2)
        #expect(there.requests.allSatisfy { $0.head.headers["authorization"].first?.contains("/eu-west-1/s3/") == true })
    }

    @Test("AWS's own addresses are known in each region")
    func addresses() throws {
        let (found, _) = try settings(["AWS_REGION": "us-east-1", "AWS_USE_DUALSTACK_ENDPOINT": "true"])
        #expect(found.address(in: "eu-west-1").description == "https://s3.dualstack.eu-west-1.amazonaws.com")
    }

    @Test("What a store repeats of the secrets is not shown")
    func echo() throws {
        let server = try ScriptedServer { arrived in
            .error(403, "AccessDenied", "no \(arrived.head.headers["x-amz-security-token"].first ?? "") for you")
        }
        defer { server.stop() }
        let objects = try objects(server)
        let error = try #require(throws: ObjectStoreError.self) { try objects.list("", limit: nil) }
        #expect("\(error)".contains("AccessDenied") && !"\(error)".contains(Secret.token), "\(error)")
    }

    @Test("Errors name an object once, with the prefix of the place before it")
    func names() throws {
        let server = try ScriptedServer { _ in .error(403, "AccessDenied") }
        defer { server.stop() }
        let objects = try objects(server, parts: 200)
        let uploading = try #require(throws: ObjectStoreError.self) {
            try objects.upload("segments/s", from: MemoryFile(Array(repeating: 7, count: 300)))
        }
        #expect(uploading.key == "segments/s")
        let listing = try #require(throws: ObjectStoreError.self) { try objects.abortStaleUploads() }
        #expect(listing.key == "segments/")
        #expect("\(CheckpointError(listing, in: objects.description))".contains("s3://tests/a/b/segments"))
    }

    @Test("A conflict is no failure: the request is sent again", arguments: ["PUT", "PUT partNumber", "POST uploadId"])
    func conflicts(_ kind: String) throws {
        let count = Counter()
        let server = try ScriptedServer { arrived in
            let query = arrived.head.uri.split(separator: "?").dropFirst().first.map(String.init) ?? ""
            let isMeant = "\(arrived.head.method) \(query)".hasPrefix(kind) && (kind != "PUT" || query.isEmpty)
            if isMeant, count.next() == 0 { return .error(409, "OperationAborted") }
            var answer = S3Answer.usual(to: arrived)
            if arrived.head.method == .HEAD { answer.headers["content-length"] = kind == "PUT" ? "100" : "300" }
            return answer
        }
        defer { server.stop() }
        try objects(server, parts: 200).upload(
            "segments/s", from: MemoryFile(Array(repeating: 7, count: kind == "PUT" ? 100 : 300)))
        // One more than without the conflict; there are two parts.
        #expect(count.next() == (kind == "PUT partNumber" ? 3 : 2))
    }

    @Test("Of an object in parts, no more are in flight than are in memory")
    func inFlight() throws {
        let server = try ScriptedServer { arrived in
            usleep(20_000)
            var answer = S3Answer.usual(to: arrived)
            if arrived.head.method == .HEAD { answer.headers["content-length"] = "6400" }
            return answer
        }
        defer { server.stop() }
        try objects(server, parts: 200).upload("segments/s", from: MemoryFile(Array(repeating: 7, count: 6400)))
        #expect(server.requests.count == 32 + 3)
        #expect((2...S3ObjectStore.Upload().partsInFlight).contains(server.runningMax))
    }
}

/// Counts from 0 on, on any thread.
final class Counter: Sendable {
    private let value = Monitor(0, rank: .unchecked)
    func next() -> Int {
        value.withLock { value in
            defer { value += 1 }
            return value
        }
    }
}
