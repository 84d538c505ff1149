import CheckpointFormat
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import Foundation
import NIOCore
import SystemPackage
import Testing

@testable import CheckpointObjects
@testable import CheckpointStorage

/// The proof that an object store has received what was sent.
@Suite("Checks of what is sent", .timeLimit(.minutes(10)))
struct TransferCheckTests {
    @Test("Digests as others compute them", arguments: [
        // Of AWS's own libraries.
        (TransferCheck.xxh128, "Hello world", "c1H4mBL5c4K5HQWzHgTdfw=="),
        (.crc64nvme, "123456789", "rosUhgp5mIg="), (.crc32c, "123456789", "4waSgw=="),
        // RFC 1321, section A.5.
        (.md5, "abc", "kAFQmDzST7DWlj99KOF/cg=="),
    ])
    func known(_ check: TransferCheck, _ text: String, _ wanted: String) {
        let digest = BodyDigest(check, of: ByteBuffer(string: text))
        #expect(digest.text == wanted)
        let header = digest.header?.0
        switch check {
        case .md5: #expect(header == "content-md5")
        case .readBack: #expect(header == nil)
        default: #expect(header == "x-amz-checksum-\(check.algorithm?.lowercased() ?? "")")
        }
    }

    @Test("Only an answer that repeats the digest confirms it; MD5 is not repeated",
        arguments: TransferCheck.allCases)
    func confirmed(_ check: TransferCheck) {
        let digest = BodyDigest(check, of: ByteBuffer(string: "body"))
        var answer = S3Answer(status: 200, headers: [:], body: [])
        #expect(digest.isConfirmed(by: answer) == (check == .md5))
        guard let (name, value) = digest.header, check != .md5 else { return }
        answer.headers[name] = value
        #expect(digest.isConfirmed(by: answer))
        answer.headers[name] = BodyDigest(check, of: ByteBuffer(string: "other")).text
        #expect(!digest.isConfirmed(by: answer))
    }

    @Test("The digest of a whole follows from its parts where the check is cyclic",
        arguments: TransferCheck.allCases)
    func joined(_ check: TransferCheck) {
        let parts = ["first", "", "and the second"].map { ByteBuffer(string: $0) }
        let whole = BodyDigest(check, of: ByteBuffer(string: "firstand the second"))
        let joined = BodyDigest.joined(parts.map { BodyDigest(check, of: $0) })
        #expect(joined == (check.cyclic == nil ? nil : whole))
        #expect(BodyDigest.joined([]) == nil)
    }

    /// Manners of stores, and the check that is found to hold.
    private static let manners: [(FaultProxy.Manner?, TransferCheck)] = [
        (nil, ObjectServer.bestCheck), (.knowsXXH128, .xxh128), (.dropsChecksums, .md5), (.dropsDigests, .readBack),
    ]

    private static let content = (0..<11 << 20).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 12) }

    @Test("The best check that a store holds to is found, used and recorded",
        .enabled(if: Requirement.objects.isTested, "\(Requirement.objects.reason)"),
        arguments: manners.indices)
    func found(_ index: Int) throws {
        let (manner, wanted) = Self.manners[index]
        let server = try #require(ObjectServer.shared)
        let proxy = try FaultProxy(server.endpoint)
        defer { proxy.stop() }
        if let manner { proxy.imitate(manner) { _ in } }
        let prefix = UUID().uuidString.lowercased()
        // Parts as small as the store allows.
        var upload = S3ObjectStore.Upload()
        upload.partBytes = 5 << 20
        let plain = server.objects(through: proxy.endpoint, upload: upload, prefix: prefix)
        let direct = server.objects(prefix: prefix)
        #expect(try plain.bestTransferCheck() == wanted)
        #expect(try plain.list("", limit: nil).isEmpty, "the probe has left something")
        #expect(try plain.abortStaleUploads(olderThan: .zero) == 0)
        let objects = plain.checking(wanted)
        for size in [0, 1000, Self.content.count] {
            let content = Array(Self.content[..<size])
            try objects.upload("segments/\(size)", from: MemoryFile(content))
            #expect(try direct.bytes(of: "segments/\(size)", count: size) == content)
        }
        try objects.create("created", [1, 2, 3])
        #expect(try objects.bytes(of: "created", count: 3) == [1, 2, 3])
        let cache = try TemporaryDirectory()
        let store = try CheckpointStore.open(
            server.objects(through: proxy.endpoint, prefix: "\(prefix)/store").checking(wanted),
            root: "s3:/tests/run", cache: FilePath(cache.path), for: .writing)
        let tensors = TestTensors(sizes: [1000])
        let checkpointer = try Checkpointer(store: store, state: tensors, options: smallOptions(workers: 1))
        try checkpointer.save(step: 1).wait()
        try checkpointer.close()
        let name = try #require(try store.files.names().first)
        #expect(try store.files.load(name).manifest.transferCheck == wanted.rawValue)
        try store.close()
    }

    @Test("From a store that compares nothing, wrong bytes are found",
        .enabled(if: Requirement.objects.isTested, "\(Requirement.objects.reason)"))
    func corrupting() throws {
        let server = try #require(ObjectServer.shared)
        let proxy = try FaultProxy(server.endpoint)
        defer { proxy.stop() }
        proxy.imitate(.corruptsBodies) { _ in }
        var upload = S3ObjectStore.Upload()
        upload.partBytes = 5 << 20
        let plain = server.objects(through: proxy.endpoint, upload: upload)
        #expect(try plain.bestTransferCheck() == .readBack)
        // Whatever the caller takes the check to be: nothing repeats the digest.
        for check in TransferCheck.allCases where check != .md5 {
            let objects = plain.checking(check)
            for size in [1000, Self.content.count] {
                #expect("\(check), \(size) bytes") {
                    try objects.upload("segments/\(check)", from: MemoryFile(Array(Self.content[..<size])))
                } throws: {
                    ($0 as? ObjectStoreError)?.detail.contains("different bytes") == true
                }
            }
            #expect("\(check)") {
                try objects.create("manifests/\(check)", Array(Self.content[..<1000]))
            } throws: {
                ($0 as? ObjectStoreError)?.detail.contains("different bytes") == true
            }
        }
    }
}
