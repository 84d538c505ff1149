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

/// Removal of checkpoints from a bucket, where every process is on a machine of its own.
@Suite("Removal from a bucket", .timeLimit(.minutes(10)))
struct BucketRemovalTests {
    /// Mostly frozen, so that saves reuse what earlier ones have written.
    private static let sizes = [20_000, 64, 8_000]
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// Opens the store on a machine that has not seen it before.
    private func open(
        _ objects: any ObjectStore, for access: CheckpointStore.Access = .reading
    ) throws(CheckpointError) -> CheckpointStore {
        // What the machine keeps is removed with the directory of the test.
        let cache = directory.appending("machine-\(UUID().uuidString)")
        return try CheckpointStore.open(
            objects, root: FilePath("s3://tests/run"), cache: FilePath(cache), for: access)
    }

    private func options(_ run: String, keepLast: Int?) -> CheckpointerOptions {
        var options = smallOptions(workers: 2)
        (options.run, options.keepLast, options.deduplicates) = (run, keepLast, true)
        return options
    }

    /// The content of a step: only the last tensor differs between steps.
    private func fill(_ tensors: TestTensors, _ run: String, _ step: Int) {
        tensors.fillPattern(1)
        tensors.fill(run.utf8.reduce(UInt64(step)) { $0 &* 131 &+ UInt64($1) }, tensor: 2)
    }

    private func save(
        _ run: String, _ range: ClosedRange<Int>, to store: CheckpointStore, keepLast: Int? = nil,
        resumes: Bool = false
    ) throws {
        let tensors = TestTensors(sizes: Self.sizes)
        let checkpointer = try Checkpointer(
            store: store, state: tensors, options: options(run, keepLast: keepLast))
        // Also after an error: nothing may go on in the background.
        defer { try? checkpointer.close() }
        if resumes { try checkpointer.resume(from: .any) }
        for step in range {
            checkpointer.mutate { fill(tensors, run, step) }
            try checkpointer.save(step: step).wait()
        }
        try checkpointer.close()
    }

    /// Restores every checkpoint, and compares it with what was saved.
    private func check(_ store: CheckpointStore, _ comment: Comment? = nil) throws {
        for checkpoint in try store.checkpoints() {
            let checkpoint = try checkpoint.get()
            let (found, wanted) = (TestTensors(sizes: Self.sizes), TestTensors(sizes: Self.sizes))
            try store.restore(.id(prefix: "\(checkpoint.id)"), into: found)
            fill(wanted, checkpoint.runName, checkpoint.step)
            #expect(found.bytes == wanted.bytes, comment)
        }
        #expect(try store.verify().isWhole, comment)
    }

    private func names(_ store: CheckpointStore) throws -> [String] {
        try store.checkpoints().map { "\(try $0.get().runName) \(try $0.get().step)" }.sorted()
    }

    @Test("A trainer keeps its newest checkpoints", arguments: ObjectStoreContractTests.kinds)
    func keepLast(_ kind: ObjectStoreContractTests.Kind) throws {
        let objects = ObjectStoreContractTests.make(kind, in: directory)
        let store = try open(objects, for: .writing)
        try save("a", 1...6, to: store, keepLast: 2)
        try store.close()
        let reader = try open(objects)
        #expect(try names(reader) == ["a 5", "a 6"])
        try check(reader)
        #expect(try reader.leavings().count == 0)
        // Some stores go on listing a prefix that has no objects any more.
        for manifest in try objects.list("locks/", limit: nil).prefixes {
            #expect(try objects.list("locks/\(manifest)/", limit: nil).isEmpty)
        }
    }

    // A directory does not tell the age of its files, and holds mirrors only.
    @Test("What an interrupted save has uploaded is removed a day later, and nothing else",
        arguments: ObjectStoreContractTests.kinds.filter { $0 != .directory })
    func clean(_ kind: ObjectStoreContractTests.Kind) throws {
        let objects = ObjectStoreContractTests.make(kind, in: directory)
        let store = try open(objects, for: .writing)
        try save("a", 1...2, to: store)
        try store.close()
        let orphan = "segments/0123456789abcdef0123456789abcdef-00000-00000.segment"
        try objects.upload(orphan, from: MemoryFile([UInt8](repeating: 1, count: 100)))
        try objects.create("segments/of another program", [1])
        #expect(throws: CheckpointError.self) { try open(objects).clean() }
        let day = Duration.seconds(24 * 3600)
        let maintained = try open(objects, for: .maintaining)
        #expect(try maintained.clean().count == 0)
        if let memory = objects as? InMemoryObjectStore {
            for key in memory.keys { memory.age(key, key == orphan ? day : day / 2) }
            #expect(try maintained.clean() == leavings(1, 100))
        } else {
            #expect(try maintained.clean(olderThan: .zero) == leavings(1, 100))
        }
        #expect(try objects.size(of: orphan) == nil)
        #expect(try objects.size(of: "segments/of another program") == 1)
        #expect(try maintained.clean(olderThan: .zero).count == 0)
        try maintained.close()
        try check(open(objects))
        // A manifest that cannot be read may name any segment.
        try objects.upload(orphan, from: MemoryFile([1]))
        let name = try #require(try objects.list("manifests/", limit: nil).objects.first)
        try objects.upload("manifests/\(name)", from: MemoryFile([1, 2, 3]))
        let damaged = try open(objects, for: .maintaining).clean(olderThan: .zero)
        #expect(damaged.count == 0 && !damaged.isComplete)
        #expect(try objects.size(of: orphan) == 1)
    }

    @Test("A checkpoint that is committed while a bucket is cleaned keeps its segments")
    func cleanBesideCommit() throws {
        let base = InMemoryObjectStore()
        try save("a", 1...1, to: open(base, for: .writing))
        // The save of run b has uploaded long ago, and is committed after the manifests were listed.
        let other = InMemoryObjectStore()
        for key in base.keys where !key.hasPrefix("manifests/") && !key.hasPrefix("segments/") {
            try other.create(key, base.bytes(of: key, count: base.size(of: key) ?? 0))
        }
        try save("b", 1...1, to: open(other, for: .writing))
        @Sendable func add(_ prefix: String) throws(ObjectStoreError) {
            for key in other.keys where key.hasPrefix(prefix) {
                try base.create(key, other.bytes(of: key, count: other.size(of: key) ?? 0))
            }
        }
        try add("segments/")
        // Opening reads manifests, too.
        let isListed = Monitor(true, rank: .unchecked)
        let objects = HookedObjectStore(base) { operation, key throws(ObjectStoreError) in
            guard operation == "read", key.hasPrefix("manifests/") else { return }
            let isFirst = isListed.withLock { isListed in
                defer { isListed = true }
                return !isListed
            }
            if isFirst { try add("manifests/") }
        }
        let store = try open(objects, for: .maintaining)
        isListed.withLock { $0 = false }
        #expect(try store.clean(olderThan: .zero).count == 0)
        #expect(isListed.withLock { $0 }, "the checkpoint was not committed meanwhile")
        try store.close()
        #expect(try names(open(base)) == ["a 1", "b 1"])
        try check(open(base))
    }

    private func leavings(_ count: Int, _ bytes: Int) -> Leavings {
        var leavings = Leavings()
        (leavings.count, leavings.bytes) = (count, bytes)
        return leavings
    }

    @Test("Two trainers of one bucket remove nothing that the other one needs")
    func twoWriters() throws {
        let objects = InMemoryObjectStore()
        try save("a", 1...2, to: open(objects, for: .writing))
        let failures = Monitor<[String]>([], rank: .unchecked)
        let threads = try ["a", "b"].map { run in
            let store = try open(objects, for: .writing)
            return try WorkerThread(name: run) {
                do {
                    // Both go on from the same checkpoint, of which both remove what they can.
                    try self.save(run, 3...25, to: store, keepLast: 1, resumes: true)
                } catch { failures.withLock { $0.append("\(run): \(error)") } }
            }
        }
        for thread in threads { thread.join() }
        #expect(failures.withLock { $0 } == [])
        let reader = try open(objects)
        try check(reader)
        let left = try names(reader)
        #expect(left.contains("a 25") && left.contains("b 25"))
    }

    @Test("Removal beside a trainer leaves what its saves rely on",
        arguments: ObjectStoreContractTests.kinds)
    func prune(_ kind: ObjectStoreContractTests.Kind) throws {
        let objects = ObjectStoreContractTests.make(kind, in: directory)
        let store = try open(objects, for: .writing)
        let isDone = Monitor(false, rank: .unchecked)
        let failures = Monitor<[String]>([], rank: .unchecked)
        let trainer = try WorkerThread(name: "trainer") {
            do { try self.save("a", 1...30, to: store) } catch {
                failures.withLock { $0.append("\(error)") }
            }
            isDone.withLock { $0 = true }
        }
        var policy = RetentionPolicy()
        policy.keepLast = 1
        var count = 0
        while !isDone.withLock({ $0 }) {
            let pruner: CheckpointStore
            do throws(CheckpointError) { pruner = try open(objects, for: .maintaining) } catch {
                // Before the first save the store may not be there.
                try #require(error.code == .notAStore || error.code == .busy)
                continue
            }
            count += try pruner.prune(policy).checkpoints.count {
                $0.isRemoved
            }
            try pruner.close()
        }
        trainer.join()
        #expect(failures.withLock { $0 } == [])
        #expect(count > 0)
        let reader = try open(objects)
        #expect(try names(reader).contains("a 30"))
        try check(reader)
    }

    @Test("Who maintains a bucket is alone on all machines, and marks, removes and repacks")
    func maintenance() throws {
        let objects = InMemoryObjectStore()
        try save("a", 1...6, to: open(objects, for: .writing))
        let store = try open(objects, for: .maintaining)
        #expect {
            try open(objects, for: .maintaining)
        } throws: {
            let error = $0 as? CheckpointError
            return error?.code == .busy && error?.description.contains("this process") == true
        }
        _ = try store.tag(.step(2), #require(TagName("good")))
        try store.pin(.step(1))
        var policy = RetentionPolicy()
        policy.keepLast = 2
        _ = try store.prune(policy)
        #expect(try names(store) == ["a 1", "a 2", "a 5", "a 6"])
        _ = try store.remove([.step(5)])
        try store.unpin(.step(1))
        _ = try store.remove([.step(1)])
        #expect(try names(store) == ["a 2", "a 6"])
        try store.close()
        let reader = try open(objects)
        try check(reader)
        #expect(try reader.leavings().count == 0)
        #expect(objects.list("locks/", limit: nil).isEmpty)
        #expect(try reader.tags().map(\.tag.description) == ["good"])
    }

    @Test("Checkpoints in a bucket are repacked, but for those that a save relies on")
    func repack() throws {
        let objects = InMemoryObjectStore()
        // A repacked block is as small as a page at best.
        let sizes = [200_000]
        let tensors = TestTensors(sizes: sizes)
        let writer = try open(objects, for: .writing)
        var options = smallOptions(workers: 2)
        (options.chunkBytes, options.arenaBytes) = (1 << 16, 4 << 16)
        let checkpointer = try Checkpointer(store: writer, state: tensors, options: options)
        for step in 1...3 {
            checkpointer.mutate { tensors.fill(UInt64(step)) }
            try checkpointer.save(step: step).wait()
        }
        try checkpointer.close()
        let first = try #require(try writer.files.names().first)
        let store = try open(objects, for: .maintaining)
        do {
            let held = try writer.fileSystem.hold(FilePath("s3://tests/run/manifests/\(first)"))
            let report = try store.repack()
            #expect(report.checkpoints.map { $0.skipped == nil } == [true, false])
            withExtendedLifetime(held) {}
        }
        let report = try store.repack()
        #expect(report.checkpoints.map { "\($0.step) \($0.skipped ?? "repacked")" } == ["2 all its blocks are shared", "1 repacked"])
        #expect(report.bytesSaved > 0)
        let reader = try open(objects)
        for step in 1...3 {
            let found = TestTensors(sizes: sizes)
            try reader.restore(.step(step), into: found)
            tensors.fill(UInt64(step))
            #expect(found.bytes == tensors.bytes)
        }
        #expect(try reader.verify().isWhole)
        #expect(try reader.leavings().count == 0)
    }

    @Test("A request that fails, at any moment of a removal, costs no other checkpoint",
        arguments: [true, false], ["prune", "keepLast", "repack"])
    func failures(hasActed: Bool, _ action: String) throws {
        let before = InMemoryObjectStore()
        try save("a", 1...3, to: open(before, for: .writing))
        var request = 0
        var isThrough = false
        while !isThrough {
            let objects = before.copy()
            let failing = FailingObjectStore(objects, at: request, hasActed: hasActed)
            do {
                switch action {
                case "prune":
                    var policy = RetentionPolicy()
                    policy.keepLast = 1
                    _ = try open(failing, for: .maintaining).prune(policy)
                case "repack": _ = try open(failing, for: .maintaining).repack()
                default:
                    let store = try open(failing, for: .writing)
                    try save("a", 4...5, to: store, keepLast: 1, resumes: true)
                }
            } catch {}  // What is left is looked at.
            isThrough = !failing.hasFailed
            let reader = try open(objects)
            try check(reader, "\(action), request \(request)")
            #expect(try names(reader).contains { $0 >= "a 3" }, "\(action), request \(request)")
            request += 1
            try #require(request < 600)
        }
        #expect(request > 10)
    }

    @Test("A mirror is not changed while its checkpoints are removed")
    func mirror() throws {
        let (objects, files) = (InMemoryObjectStore(), InMemoryFileSystem())
        try save("a", 1...2, to: openStore(files))
        let mirror = try StoreMirror(of: openStore(files, for: .reading), to: objects)
        _ = try mirror.synchronize()
        // What is up to date asks for nothing.
        let keys = objects.keys
        let again = try mirror.synchronize()
        #expect(again.objectCount == 0 && again.checkpoints.allSatisfy { $0.outcome == .present })
        #expect(objects.keys == keys)
        try save("a", 3...3, to: openStore(files), resumes: true)
        let pruner = try open(objects, for: .maintaining)
        #expect {
            try mirror.synchronize()
        } throws: {
            ($0 as? CheckpointError)?.code == .busy
        }
        var policy = RetentionPolicy()
        policy.keepLast = 1
        _ = try pruner.prune(policy)
        try pruner.close()
        let report = try mirror.synchronize()
        #expect(report.checkpoints.count { $0.outcome == .mirrored } == 1)
        // What this mirror has sent before, and was removed there, is not sent again.
        #expect(try names(open(objects)) == ["a 2", "a 3"])
        try check(open(objects))
    }

    @Test("What was kept locked for too long is not relied on")
    func late() throws {
        let objects = InMemoryObjectStore()
        let root = FilePath("s3://tests/run")
        let files = { (trusted: Duration) in
            var times = ObjectLocks.Times()
            times.trusted = trusted
            return ObjectFileSystem(
                objects, root: root, cache: FilePath(self.directory.appending("cache")),
                locks: ObjectLocks(objects, holder: [], times: times))
        }
        let (first, second) = (root.appending("manifests/a"), root.appending("manifests/b"))
        try objects.create("manifests/a", [1])
        for (time, isLate) in [(Duration.seconds(60), false), (.zero, true)] {
            let files = files(time)
            let staged = root.appending("staging/b.tmp")
            let file = try files.create(staged)
            try file.write([2], at: 0)
            file.close()
            let held = try files.hold(first)
            if isLate {
                for action in [{ try files.link(staged, to: second) }, { try files.remove(first) }] {
                    #expect {
                        try action()
                    } throws: {
                        ($0 as? FileSystemError)?.errno == .timedOut
                    }
                }
            } else {
                try files.link(staged, to: second)
                try files.remove(second)
                try files.remove(staged)
            }
            withExtendedLifetime(held) {}
        }
        #expect(objects.keys == ["manifests/a"])
    }
}
