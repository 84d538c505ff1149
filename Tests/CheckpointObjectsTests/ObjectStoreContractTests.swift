import CheckpointIO
import CheckpointTestSupport
import Foundation
import SystemPackage
import Testing

@testable import CheckpointObjects

/// The contract of object stores, tested on each of them.
@Suite("Object store", .timeLimit(.minutes(10)))
struct ObjectStoreContractTests {
    enum Kind: String, CaseIterable {
        case memory
        case directory
        case server
        /// One request in five goes wrong, in another way each time.
        case serverWithFaults
    }

    /// The stores that are there.
    static let kinds = Kind.allCases.filter { [.memory, .directory].contains($0) || ObjectServer.shared != nil }

    private static let faulty = try! FaultProxy(ObjectServer.shared!.endpoint)

    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func make(_ kind: Kind) -> any ObjectStore { Self.make(kind, in: directory) }

    /// Returns an empty store.
    ///
    /// - Parameter directory: the place of files.
    static func make(_ kind: Kind, in directory: TemporaryDirectory) -> any ObjectStore {
        switch kind {
        case .memory: return InMemoryObjectStore()
        case .directory: return DirectoryObjectStore(FilePath(directory.appending("objects")))
        case .server:
            // Parts as small as the store allows.
            var upload = S3ObjectStore.Upload()
            upload.partBytes = 5 << 20
            return ObjectServer.shared!.objects(upload: upload)
        case .serverWithFaults:
            var upload = S3ObjectStore.Upload()
            upload.partBytes = 5 << 20
            faulty.plan(every: 5)
            return ObjectServer.shared!.objects(through: faulty.endpoint, upload: upload)
        }
    }

    @Test("One of several creates succeeds", arguments: kinds)
    func create(_ kind: Kind) throws {
        let objects = make(kind)
        try objects.create("a/b", [1, 2, 3])
        // The same again: nobody can tell it from a request that was sent twice.
        try objects.create("a/b", [1, 2, 3])
        #expect {
            try objects.create("a/b", [1, 2, 4])
        } throws: {
            ($0 as? ObjectStoreError)?.kind == .exists
        }
        #expect(try objects.bytes(of: "a/b", count: 3) == [1, 2, 3])
        try ConditionProbe(objects).run()
    }

    @Test("Ranges of an object are read", arguments: kinds)
    func ranges(_ kind: Kind) throws {
        let objects = make(kind)
        let content = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
        try objects.create("range", content)
        #expect(try objects.size(of: "range") == content.count)
        for range in [0..<1, 0..<100_000, 99_999..<100_000, 1234..<56_789] {
            let found = try objects.bytes(of: "range", at: range.lowerBound, count: range.count)
            #expect(found == Array(content[range]))
        }
        #expect(try objects.bytes(of: "range", at: 5, count: 0).isEmpty)
        #expect(throws: ObjectStoreError.self) {
            try objects.bytes(of: "range", at: 99_999, count: 2)
        }
        #expect {
            try objects.bytes(of: "none", count: 1)
        } throws: {
            ($0 as? ObjectStoreError)?.kind == .notFound
        }
        #expect(try objects.size(of: "none") == nil)
    }

    @Test("An empty object exists", arguments: kinds)
    func empty(_ kind: Kind) throws {
        let objects = make(kind)
        try objects.create("empty", [])
        #expect(try objects.size(of: "empty") == 0)
    }

    @Test("Objects of any size are uploaded, in parts", arguments: kinds, [0, 1, 5 << 20, (11 << 20) + 17])
    func upload(_ kind: Kind, _ size: Int) throws {
        let objects = make(kind)
        let directory = try TemporaryDirectory()
        let seed = Seeds.random()
        var random = SeededGenerator(seed)
        let content = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
        let path = directory.appending("content")
        try Data(content).write(to: URL(filePath: path))
        let file = try POSIXFileSystem(usesDirectIO: false).open(FilePath(path))
        try objects.upload("segments/large", from: file)
        #expect(try objects.size(of: "segments/large") == size)
        #expect(try objects.bytes(of: "segments/large", count: size) == content, "seed \(seed)")
        // Whatever was there.
        try objects.upload("segments/large", from: file)
    }

    @Test("A listing has all names below a prefix, however many", arguments: kinds)
    func list(_ kind: Kind) throws {
        let objects = make(kind)
        let names = (0..<1100).map { "n\($0)" }
        _ = try ParallelMap.run(names.count, name: "test") { number throws(ObjectStoreError) in
            try objects.create("m/\(names[number])", [1])
        }
        for key in ["m/d/x", "m/d/y", "m/e f+g%/z", "mm", "top"] { try objects.create(key, [2]) }
        let found = try objects.list("m/", limit: nil)
        #expect(found.objects.sorted() == names.sorted())
        #expect(found.prefixes.sorted() == ["d", "e f+g%"])
        #expect(try objects.list("m/e f+g%/", limit: nil).objects == ["z"])
        let top = try objects.list("", limit: nil)
        #expect(top.objects.sorted() == ["mm", "top"] && top.prefixes == ["m"])
        #expect(try objects.list("nothing/", limit: nil).isEmpty)
        // Another machine may have created it after it was found to be absent.
        #expect(try objects.list("top/", limit: 1).isEmpty)
        #expect(try !objects.list("m/", limit: 1).isEmpty)
    }

    @Test("What is removed is gone, and can be removed again", arguments: kinds)
    func remove(_ kind: Kind) throws {
        let objects = make(kind)
        try objects.create("k", [1])
        try objects.remove("k")
        #expect(try objects.size(of: "k") == nil)
        try objects.remove("k")
        try objects.create("k", [2])
        #expect(try objects.bytes(of: "k", count: 1) == [2])
    }

    @Test("A store that does not keep the condition is refused, and why is said",
        arguments: [
            (InMemoryObjectStore.Fault.ignoresCondition, "16 succeeded"),
            (.losesRaces, "simultaneous creates"), (.ignoresRanges, "range requests"),
        ])
    func refused(_ fault: InMemoryObjectStore.Fault, _ reason: String) throws {
        let objects = InMemoryObjectStore(fault)
        #expect {
            try ConditionProbe(objects).run()
        } throws: {
            guard let error = $0 as? ObjectStoreError else { return false }
            return error.kind == .unsupported && error.detail.contains(reason)
        }
        #expect(objects.keys.isEmpty)
    }

    @Test("A store whose servers keep the condition each by itself is refused; one that is silent is left out")
    func addresses() throws {
        let (one, other) = (InMemoryObjectStore(), InMemoryObjectStore())
        let error = try #require(throws: ObjectStoreError.self) { try ConditionProbe([one, other]).run() }
        #expect(error.kind == .unsupported && error.detail.contains("2 succeeded"), "\(error)")
        try ConditionProbe([one, one]).run()
        let silent = FailingObjectStore(other, at: 0, hasActed: false)
        #expect(ConditionProbe.reachable([silent, FailingObjectStore(one, at: 5, hasActed: false)]).count == 1)
        #expect(ConditionProbe.reachable([InMemoryObjectStore]()).isEmpty)
    }

    @Test("Uploads that a killed process has begun are aborted, and no others",
        .enabled(if: Requirement.objects.isTested, "\(Requirement.objects.reason)"))
    func staleUploads() throws {
        let objects = try #require(ObjectServer.shared).objects()
        let own = "segments/0123456789abcdef0123456789abcdef-00000-00000.segment"
        for key in [own, own, "segments/other", "data/\(own)"] {
            let outcome = objects.client.send(
                S3Request(method: "POST", key: objects.full(key), query: [("uploads", "")]))
            guard case .answered(let answer, _) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(answer.verdict == .success)
        }
        #expect(try objects.abortStaleUploads() == 0)
        #expect(try objects.abortStaleUploads(olderThan: .zero) == 2)
        #expect(try objects.abortStaleUploads(olderThan: .zero) == 0)
        // The same server, and another prefix.
        let other = try #require(ObjectServer.shared).objects()
        #expect(try other.abortStaleUploads(olderThan: .zero) == 0)
    }
}
