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

@Suite("Mirror of a store", .timeLimit(.minutes(10)))
struct MirrorTests {
    private static let sizes = [40_000, 64, 20_000]

    private func options() -> CheckpointerOptions {
        var options = smallOptions(workers: 2)
        (options.deduplicates, options.chunkBytes, options.arenaBytes) = (true, 16384, 4 * 16384)
        options.compression = .fast
        options.run = "experiment"
        return options
    }

    /// Goes on with the run of a store, and saves steps.
    private func train(
        _ path: String, _ steps: ClosedRange<Int>, expectingStep expected: Int? = nil
    ) throws -> [Int: [UInt8]] {
        let store = try CheckpointStore.open(path, for: .writing)
        let tensors = TestTensors(sizes: Self.sizes)
        let checkpointer = try Checkpointer(store: store, state: tensors, options: options())
        let resumed = try checkpointer.resume()
        #expect(resumed?.step == expected)
        if resumed == nil { checkpointer.mutate { tensors.fillPattern(1) } }
        var contents: [Int: [UInt8]] = [:]
        for step in steps {
            checkpointer.mutate {
                for word in 0..<100 { tensors.write(UInt64(step), atWord: step * 7 + word * 20) }
                tensors.fill(UInt64(step), tensor: 1)
            }
            contents[step] = tensors.bytes
            try checkpointer.save(step: step).wait()
        }
        try checkpointer.close()
        try store.close()
        return contents
    }

    private func check(_ store: CheckpointStore, _ contents: [Int: [UInt8]]) throws {
        for (step, bytes) in contents {
            let tensors = TestTensors(sizes: Self.sizes)
            try store.restore(.step(step), into: tensors)
            #expect(tensors.bytes == bytes, "step \(step)")
        }
        #expect(try store.verify().isWhole)
    }

    private func make(
        _ kind: ObjectStoreContractTests.Kind, _ directory: TemporaryDirectory
    ) -> any ObjectStore {
        ObjectStoreContractTests.make(kind, in: directory)
    }

    @Test("A lost store comes back, and training resumes as if nothing had happened",
        arguments: ObjectStoreContractTests.kinds)
    func lostStore(_ kind: ObjectStoreContractTests.Kind) throws {
        let directory = try TemporaryDirectory()
        let (path, objects) = (directory.appending("store"), make(kind, directory))
        var contents = try train(path, 1...3)
        let source = try CheckpointStore.open(path)
        let mirror = try StoreMirror(of: source, to: objects)
        let first = try mirror.synchronize()
        #expect(first.checkpoints.map(\.outcome) == [.mirrored, .mirrored, .mirrored])
        let again = try mirror.synchronize()
        #expect(again.newBytes == 0 && again.objectCount == 0)
        // In another process, too.
        #expect(try StoreMirror(of: source, to: objects).synchronize().newBytes == 0)
        contents.merge(try train(path, 4...5, expectingStep: 3)) { $1 }
        let second = try mirror.synchronize()
        #expect(second.checkpoints.count { $0.outcome == .mirrored } == 2)
        #expect(second.newBytes < first.newBytes)

        try FileManager.default.removeItem(atPath: path)
        let back = try CheckpointStore.open(
            objects, root: "s3:/tests/run", cache: FilePath(directory.appending("cache")),
            for: .reading)
        #expect(back.id == source.id)
        try check(back, contents)
        _ = try StoreMirror(of: back, to: .directory(path)).synchronize()
        try check(CheckpointStore.open(path), contents)
        contents.merge(try train(path, 6...7, expectingStep: 5)) { $1 }
        try check(CheckpointStore.open(path), contents)
        _ = try StoreMirror(of: CheckpointStore.open(path), to: objects).synchronize()
        try check(back, contents)
    }

    @Test("A mirror is killed at any operation, the next finds the rest, and then power fails")
    func killedBefore() throws {
        let directory = try TemporaryDirectory()
        let path = directory.appending("store")
        let contents = try train(path, 1...2)
        try CheckpointStore.open(path, for: .maintaining).pin(.step(1))
        let source = try CheckpointStore.open(path)
        var random = SeededGenerator(6)
        for k in 0... {
            let disk = InMemoryFileSystem()
            try disk.makeDirectory("/mirror")
            let counter = FaultCounter()
            let dying = HookedFileSystem(disk, before: counter.hook(failAt: k, .ioError, forEver: true))
            // The failure is the kill.
            _ = try? StoreMirror(of: source, to: DirectoryObjectStore("/mirror", files: dying)).synchronize()
            let next = disk.killed()
            // Its locks would be in the way for ten minutes.
            let locks = FilePath("/mirror/locks")
            for name in try next.listIfThere(locks) {
                let directory = locks.appending(name)
                for lock in try next.list(directory) { try next.remove(directory.appending(lock)) }
            }
            _ = try StoreMirror(of: source, to: DirectoryObjectStore("/mirror", files: next)).synchronize()
            let store = try CheckpointStore(
                fileSystem: next.crashed(&random), root: "/mirror", access: .reading, catalog: .nowhere)
            #expect(try steps(of: store) == [2, 1], "killed at operation \(k)")
            #expect(try store.marks().pins.count == 1, "killed at operation \(k)")
            try check(store, contents)
            if counter.operations <= k { break }
        }
    }

    @Test("Marks and repacked checkpoints follow")
    func changes() throws {
        let directory = try TemporaryDirectory()
        let (path, objects) = (directory.appending("store"), InMemoryObjectStore())
        let contents = try train(path, 1...10)
        let mirror = try StoreMirror(of: CheckpointStore.open(path), to: objects)
        _ = try mirror.synchronize()
        let store = try CheckpointStore.open(path, for: .maintaining)
        try store.tag(.step(2), #require(TagName("good")))
        try store.pin(.step(1))
        #expect(try mirror.synchronize().markCount == 2)
        #expect(try mirror.synchronize().markCount == 0)
        try store.unpin(.step(1))
        #expect(try mirror.synchronize().markCount == 1)
        #expect(objects.keys.filter { $0.hasPrefix("pins/") }.isEmpty)
        #expect(try store.repack().checkpoints.contains { $0.deltaCount > 0 })
        #expect(try mirror.synchronize().checkpoints.contains { $0.outcome == .mirrored })
        let reader = try CheckpointStore.open(
            objects, root: "s3:/tests/run", cache: FilePath(directory.appending("cache")),
            for: .reading)
        try check(reader, contents)
        #expect(try reader.tags().map(\.tag.description) == ["good"])
    }

    @Test("Of a repacked checkpoint the mirror's clean removes the old segments, and its catalog the old row")
    func repacked() throws {
        let directory = try TemporaryDirectory()
        let (path, place) = (directory.appending("store"), directory.appending("mirror"))
        let contents = try train(path, 1...10)
        let mirror = try StoreMirror(of: CheckpointStore.open(path), to: .directory(place))
        _ = try mirror.synchronize()
        // Makes its catalog.
        try CheckpointStore.open(place, for: .writing).close()
        _ = try CheckpointStore.open(path, for: .maintaining).repack()
        #expect(try mirror.synchronize().checkpoints.contains { $0.outcome == .mirrored })
        let findings = try CheckpointStore.open(place).verify().findings
        #expect(!findings.isEmpty && findings.allSatisfy { $0.path.contains("/segments/") }, "\(findings)")
        try CheckpointStore.open(place, for: .writing).close()
        #expect(try CheckpointStore.open(place).verify().findings.isEmpty)
        let segments = try [path, place].map {
            try Set(FileManager.default.contentsOfDirectory(atPath: "\($0)/segments"))
        }
        #expect(segments[1] == segments[0])
        try check(CheckpointStore.open(place), contents)
    }

    @Test("The cache of a bucket's catalog follows what was replaced from another machine")
    func cachedRows() throws {
        let directory = try TemporaryDirectory()
        let (path, objects) = (directory.appending("store"), InMemoryObjectStore())
        _ = try train(path, 1...10)
        let mirror = try StoreMirror(of: CheckpointStore.open(path), to: objects)
        _ = try mirror.synchronize()
        let cache = FilePath(directory.appending("cache"))
        try FileManager.default.createDirectory(atPath: cache.string, withIntermediateDirectories: true)
        func reader() throws -> CheckpointStore {
            try CheckpointStore.open(objects, root: "s3:/tests/run", cache: cache, for: .reading)
        }
        let before = try reader().checkpoints().map { try $0.get().storedBytes }
        _ = try CheckpointStore.open(path, for: .maintaining).repack()
        _ = try mirror.synchronize()
        #expect(try reader().verify().findings.allSatisfy { $0.kind == .note })
        #expect(try reader().checkpoints().map { try $0.get().storedBytes } != before)
    }

    @Test("A place with another store is refused")
    func another() throws {
        let directory = try TemporaryDirectory()
        let objects = InMemoryObjectStore()
        _ = try train(directory.appending("a"), 1...1)
        _ = try train(directory.appending("b"), 1...1)
        _ = try StoreMirror(of: CheckpointStore.open(directory.appending("a")), to: objects)
            .synchronize()
        #expect {
            try StoreMirror(of: CheckpointStore.open(directory.appending("b")), to: objects)
        } throws: {
            ($0 as? CheckpointError)?.code == .misuse
        }
    }

    @Test("Interrupted at any request, it shows whole checkpoints only, and goes on",
        arguments: [true, false])
    func interrupted(hasActed: Bool) throws {
        let directory = try TemporaryDirectory()
        let path = directory.appending("store")
        let contents = try train(path, 1...3)
        let source = try CheckpointStore.open(path)
        var request = 0
        var isThrough = false
        while !isThrough {
            let objects = InMemoryObjectStore()
            let failing = FailingObjectStore(objects, at: request, hasActed: hasActed)
            do {
                _ = try StoreMirror(of: source, to: failing).synchronize()
            } catch {
                #expect(error.code == .io)
            }
            isThrough = !failing.hasFailed
            let cache = directory.appending("cache-\(request)-\(hasActed)")
            if objects.size(of: "store.json") != nil {
                let reader = try CheckpointStore.open(
                    objects, root: "s3:/tests/run", cache: FilePath(cache), for: .reading)
                let found = try steps(of: reader).compactMap { $0 }
                try check(reader, contents.filter { found.contains($0.key) })
            }
            _ = try StoreMirror(of: source, to: objects).synchronize()
            let reader = try CheckpointStore.open(
                objects, root: "s3:/tests/run", cache: FilePath(cache), for: .reading)
            #expect(try steps(of: reader).count == 3)
            try check(reader, contents)
            request += 1
            try #require(request < 200)
        }
        #expect(request > 10)
    }

    @Test("Expiry beside a mirror takes nothing from it")
    func expiry() throws {
        let directory = try TemporaryDirectory()
        let (path, objects) = (directory.appending("store"), InMemoryObjectStore())
        let store = try CheckpointStore.open(path, for: .writing)
        let tensors = TestTensors(sizes: Self.sizes)
        var options = options()
        options.keepLast = 1
        let checkpointer = try Checkpointer(store: store, state: tensors, options: options)
        let done = Monitor(false, rank: .unchecked)
        let mirror = try StoreMirror(of: CheckpointStore.open(path), to: objects)
        let thread = try WorkerThread(name: "mirror") {
            while !done.withLock({ $0 }) {
                do { _ = try mirror.synchronize() } catch { Issue.record(error) }
            }
        }
        var contents: [Int: [UInt8]] = [:]
        for step in 1...40 {
            checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
            contents[step] = tensors.bytes
            try checkpointer.save(step: step).wait()
        }
        try checkpointer.close()
        done.withLock { $0 = true }
        thread.join()
        _ = try mirror.synchronize()
        let reader = try CheckpointStore.open(
            objects, root: "s3:/tests/run", cache: FilePath(directory.appending("cache")),
            for: .reading)
        let found = try steps(of: reader).compactMap { $0 }
        #expect(found.first == 40)
        try check(reader, contents.filter { found.contains($0.key) })
    }
}
