import CheckpointFormat
import CheckpointIO
import CheckpointMaintenance
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import Foundation
import SystemPackage
import Testing

@testable import CheckpointObjects
@testable import CheckpointStorage

/// Stores whose files are objects.
@Suite("Store in a bucket", .timeLimit(.minutes(10)))
struct BucketStoreTests {
    private static let sizes = [40_000, 64, 20_000]
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func objects(_ kind: ObjectStoreContractTests.Kind) -> any ObjectStore {
        ObjectStoreContractTests.make(kind, in: directory)
    }

    private func open(
        _ objects: any ObjectStore, _ cache: TemporaryDirectory,
        for access: CheckpointStore.Access = .reading
    ) throws(CheckpointError) -> CheckpointStore {
        try CheckpointStore.open(
            objects, root: FilePath("s3://tests/run"), cache: FilePath(cache.path), for: access)
    }

    /// Saves steps 1 to `count`, each with another content.
    private func train(_ store: CheckpointStore, _ count: Int) throws -> [Int: [UInt8]] {
        let tensors = TestTensors(sizes: Self.sizes)
        let checkpointer = try Checkpointer(
            store: store, state: tensors, options: smallOptions(workers: 2))
        var contents: [Int: [UInt8]] = [:]
        for step in 1...count {
            checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
            contents[step] = tensors.bytes
            try checkpointer.save(step: step).wait()
        }
        try checkpointer.close()
        return contents
    }

    private func check(_ store: CheckpointStore, _ contents: [Int: [UInt8]]) throws {
        #expect(try steps(of: store).compactMap { $0 }.sorted() == contents.keys.sorted())
        for (step, bytes) in contents {
            let tensors = TestTensors(sizes: Self.sizes)
            try store.restore(.step(step), into: tensors)
            #expect(tensors.bytes == bytes, "step \(step)")
        }
        #expect(try store.verify().findings.isEmpty)
    }

    @Test("A trainer saves to it, and another machine restores",
        arguments: ObjectStoreContractTests.kinds)
    func train(_ kind: ObjectStoreContractTests.Kind) throws {
        let (objects, cache) = (objects(kind), try TemporaryDirectory())
        let store = try open(objects, cache, for: .writing)
        let contents = try train(store, 3)
        #expect {
            try open(objects, cache, for: .writing)
        } throws: {
            ($0 as? CheckpointError)?.code == .busy
        }
        try store.close()
        // Nothing stays on the machine that has saved.
        let names = try FileManager.default.contentsOfDirectory(atPath: cache.path)
        for name in names where name.hasPrefix("process-") {
            let staged = try FileManager.default.contentsOfDirectory(
                atPath: cache.appending("\(name)/staging"))
            #expect(staged.isEmpty)
        }
        try check(open(objects, TemporaryDirectory()), contents)
        // The second time, what the catalog of this machine knows is not read again.
        let again = try open(objects, cache)
        #expect(try again.checkpoints().count == 3)
        #expect(try again.catalogGap().map { $0.unknown + $0.gone } == 0)
        let next = try open(objects, cache, for: .writing)
        let tensors = TestTensors(sizes: Self.sizes)
        #expect(try next.restore(.latest, into: tensors).step == 3)
    }

    @Test("Checkpoints are copied there and back", arguments: ObjectStoreContractTests.kinds)
    func copy(_ kind: ObjectStoreContractTests.Kind) throws {
        let (objects, cache) = (objects(kind), try TemporaryDirectory())
        let (first, second) = (InMemoryFileSystem(), InMemoryFileSystem())
        let contents = try train(openStore(first), 3)
        let source = try openStore(first, for: .maintaining)
        try source.tag(.step(2), #require(TagName("good")))
        try source.pin(.step(1))
        let bucket = try open(objects, cache, for: .writing)
        let report = try source.copy(to: bucket)
        #expect(report.checkpoints.count { $0.outcome == .copied } == 3)
        try check(bucket, contents)
        // The same again sends nothing new.
        let again = try source.copy(to: bucket)
        #expect(again.checkpoints.allSatisfy { $0.outcome == .present } && again.newBytes == 0)
        try bucket.close()
        let back = try openStore(second)
        _ = try open(objects, TemporaryDirectory()).copy(to: back)
        try check(back, contents)
        #expect(try back.tags().map(\.tag.description) == ["good"])
        #expect(try back.newest(3).compactMap { try? $0.get() }.filter(\.isPinned).map(\.step) == [1])
    }

    @Test("A bucket without a store is said to be none")
    func noStore() throws {
        #expect {
            try open(InMemoryObjectStore(), TemporaryDirectory())
        } throws: {
            ($0 as? CheckpointError)?.code == .notAStore
        }
    }

    @Test("A request that fails, at any moment, loses no checkpoint and commits none falsely",
        arguments: [true, false])
    func failures(hasActed: Bool) throws {
        var request = 0
        var isThrough = false
        while !isThrough {
            let objects = InMemoryObjectStore()
            let cache = try TemporaryDirectory()
            let contents = try train(open(objects, cache, for: .writing), 1)
            let failing = FailingObjectStore(objects, at: request, hasActed: hasActed)
            var committed = contents
            do {
                let store = try open(failing, cache, for: .writing)
                let tensors = TestTensors(sizes: Self.sizes)
                let checkpointer = try Checkpointer(
                    store: store, state: tensors, options: smallOptions(workers: 2))
                checkpointer.mutate { tensors.fillPattern(7) }
                let ticket = try? checkpointer.save(step: 7)
                if (try? ticket?.wait()) != nil { committed[7] = tensors.bytes }
                // Its error is that of the save.
                try? checkpointer.close()
            } catch {}  // A store that cannot be opened commits nothing.
            isThrough = !failing.hasFailed
            let reader = try open(objects, TemporaryDirectory())
            let found = try steps(of: reader).compactMap { $0 }
            #expect(Set(found).isSuperset(of: committed.keys), "request \(request)")
            for (step, bytes) in committed {
                let tensors = TestTensors(sizes: Self.sizes)
                try reader.restore(.step(step), into: tensors)
                #expect(tensors.bytes == bytes, "request \(request)")
            }
            #expect(try reader.verify().isWhole, "request \(request)")
            request += 1
            try #require(request < 500)
        }
        #expect(request > 10)
    }
}
