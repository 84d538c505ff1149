import CheckpointFormat
import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
@testable import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import Foundation
import SystemPackage
import Testing

private let sizes = [24_000, 64]

private func keep(last: Int) -> RetentionPolicy {
    var policy = RetentionPolicy()
    policy.keepLast = last
    return policy
}

@Suite("Pruning", .timeLimit(.minutes(20)))
struct PruneTests {
    private let memory = InMemoryFileSystem()

    /// Steps 1 to `count`: the first tensor stays the same from step to step but for a word, so that checkpoints share blocks.
    private func makeStore(_ fileSystem: any FileSystem, _ count: Int) throws -> [Int: [UInt8]] {
        let tensors = TestTensors(sizes: sizes)
        tensors.fillPattern(1)
        var options = smallOptions()
        options.deduplicates = true
        let checkpointer = try Checkpointer(store: openStore(fileSystem), state: tensors, options: options)
        var contents: [Int: [UInt8]] = [:]
        for step in 1...count {
            checkpointer.mutate { tensors.write(UInt64(step), atWord: step * 400 % 3000) }
            contents[step] = tensors.bytes
            try checkpointer.save(step: step, metrics: ["loss": Double(step % 3)]).wait()
        }
        try checkpointer.close()
        return contents
    }

    private func check(_ store: CheckpointStore, _ contents: [Int: [UInt8]], _ comment: Comment) throws {
        for step in try steps(of: store) {
            let (step, tensors) = (try #require(step), TestTensors(sizes: sizes))
            try store.restore(.step(step), into: tensors)
            #expect(tensors.bytes == contents[step], comment)
        }
        #expect(try store.verify().isWhole, comment)
    }

    @Test("what the rules keep is whole, the rest is gone, and so are the segments that nobody names")
    func removes() throws {
        let contents = try makeStore(memory, 9)
        let store = try openStore(memory, for: .maintaining)
        let before = memory.files
        var policy = keep(last: 2)
        policy.keepBest = [.init(metric: "loss", count: 1)]
        let dry = try store.prune(policy, isDryRun: true)
        #expect(memory.files == before)
        let report = try store.prune(policy)
        #expect(try steps(of: store) == [9, 8])
        #expect(report.removedCount == 7 && report.freedBytes == dry.freedBytes && dry.removedCount == 7)
        #expect(report.checkpoints.first?.reasons == ["newest of its run", "keep-last", "keep-best loss"])
        let gone = before.filter { memory.files[$0.key] == nil && $0.key.string.contains("/segments/") }
        #expect(gone.reduce(0) { $0 + $1.value.count } == report.freedBytes && gone.count == report.segmentCount)
        #expect(gone.count < 7, "the first segment holds what all share")
        try check(store, contents, "pruned")
        #expect(try store.verify().findings.isEmpty && memory.list("/store/staging").isEmpty)
        #expect(try store.prune(policy).removedCount == 0)
    }

    @Test("what is pinned or tagged stays; one run's rules leave the others alone")
    func spares() throws {
        var contents = try makeStore(memory, 4)
        let first = try #require(try openStore(memory, for: .reading).files.names().first?.run)
        for (step, bytes) in try makeStore(memory, 5) { contents[step] = bytes }
        let store = try openStore(memory, for: .maintaining)
        try store.tag(.step(1), #require(TagName("t")))
        try store.pin(.step(2))
        #expect(try store.prune(keep(last: 1), runs: [first]).removedCount == 3)
        #expect(try steps(of: store) == [5, 4, 3, 2, 1, 4])
        #expect(try store.prune(keep(last: 1)).removedCount == 2)
        #expect(try steps(of: store) == [5, 2, 1, 4])
        #expect(try store.verify().isWhole)
    }

    @Test("the base of a delta stays as long as the delta does")
    func bases() throws {
        let tensors = TestTensors(sizes: [40_000])
        tensors.fillPattern(1)
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        var contents: [Int: [UInt8]] = [:]
        for step in 0..<8 {
            checkpointer.mutate { tensors.write(UInt64(step), atWord: step) }
            contents[step] = tensors.bytes
            try checkpointer.save(step: step).wait()
        }
        try checkpointer.close()
        let store = try openStore(memory, for: .maintaining)
        #expect(try store.repack().checkpoints.contains { $0.deltaCount > 0 })
        var policy = RetentionPolicy()
        policy.keepEvery = 3
        _ = try store.prune(policy)
        #expect(try steps(of: store) == [7, 6, 3, 0])
        for step in [7, 6, 3, 0] {
            let copy = TestTensors(sizes: [40_000])
            try store.restore(.step(step), into: copy)
            #expect(copy.bytes == contents[step])
        }
        #expect(try store.verify().isWhole)
    }

    @Test("no rule, rules that keep nothing, damage, and a store open otherwise are refused, and nothing is removed")
    func refuses() throws {
        _ = try makeStore(memory, 3)
        var policy = RetentionPolicy()
        func code(_ access: CheckpointStore.Access) -> CheckpointError.Code? {
            do throws(CheckpointError) {
                _ = try openStore(memory, for: access).prune(policy)
                return nil
            } catch { return error.code }
        }
        #expect(code(.maintaining) == .misuse)
        policy.keepBest = [.init(metric: "none", count: 1)]
        #expect(code(.maintaining) == .misuse)
        policy.keepLast = 1
        #expect(code(.reading) == .misuse && code(.writing) == .misuse)
        try openStore(memory, for: .maintaining).tag(.step(1), #require(TagName("t")))
        let tag = try #require(memory.files["/store/tags/t"])
        memory.overwrite("/store/tags/t", with: [1])
        #expect(code(.maintaining) == .damaged)
        memory.overwrite("/store/tags/t", with: tag)
        let path = try #require(memory.files.keys.filter { $0.string.hasSuffix(".manifest") }.min { $0.string < $1.string })
        let bytes = try #require(memory.files[path])
        memory.overwrite(path, with: [1, 2, 3])
        #expect(code(.maintaining) == .damaged)
        memory.overwrite(path, with: bytes)
        #expect(try steps(of: openStore(memory, for: .reading)) == [3, 2, 1])
    }

    @Test("killed at every operation: every checkpoint that is left is whole, and another run finishes", arguments: 0..<2 as Range<UInt64>)
    func everyOperation(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let contents = try makeStore(memory, 6)
        let untouched = memory.crashed(&random)
        for k in 0... {
            let disk = untouched.crashed(&random)
            let counter = FaultCounter()
            let dying = HookedFileSystem(disk, before: counter.hook(failAt: k, .ioError, forEver: true))
            // The failure is the crash.
            _ = try? openStore(dying, for: .maintaining).prune(keep(last: 2))
            let left = disk.crashed(&random)
            let comment: Comment = "crash at operation \(k), seed \(seed)"
            let store = try openStore(left)
            #expect(try steps(of: store).prefix(2) == [6, 5], comment)
            try check(store, contents, comment)
            #expect(try left.list("/store/staging").isEmpty && store.verify().findings.isEmpty, comment)
            _ = try openStore(left, for: .maintaining).prune(keep(last: 2))
            #expect(try steps(of: store) == [6, 5], comment)
            try check(store, contents, comment)
            if counter.operations <= k {
                #expect(k >= 12)
                break
            }
        }
    }

    @Test("a prune is killed at any operation, a writer opens the store, and then power fails")
    func killedBefore() throws {
        let contents = try makeStore(memory, 6)
        var random = SeededGenerator(2)
        let untouched = memory.crashed(&random)
        for k in 0... {
            let disk = untouched.killed()
            let counter = FaultCounter()
            let dying = HookedFileSystem(disk, before: counter.hook(failAt: k, .ioError, forEver: true))
            // The failure is the kill.
            _ = try? openStore(dying, for: .maintaining).prune(keep(last: 2))
            let next = disk.killed()
            _ = try openStore(next)
            let store = try openStore(next.crashed(&random), for: .maintaining)
            #expect(try steps(of: store).prefix(2) == [6, 5], "killed at operation \(k)")
            try check(store, contents, "killed at operation \(k)")
            if counter.operations <= k { break }
        }
    }

    @Test("a prune does not rely on a checkpoint that is not durable yet")
    func unsyncedCheckpoint() throws {
        _ = try makeStore(memory, 2)
        var random = SeededGenerator(3)
        for k in 0... {
            let disk = memory.killed()
            let counter = FaultCounter()
            let dying = HookedFileSystem(disk, before: counter.hook(failAt: k, .ioError, forEver: true))
            let pruning = try? openStore(dying, for: .maintaining)
            // The name of step 3 exists, and its writer does not come to sync it.
            let writer = HookedFileSystem(disk) { operation throws(FileSystemError) in
                guard operation.verb == "syncdir", operation.path == "/store/manifests",
                    try disk.list("/store/manifests").count == 3
                else { return }
                throw FileSystemError("syncdir", operation.path, .ioError)
            }
            let tensors = TestTensors(sizes: sizes)
            let checkpointer = try Checkpointer(store: openStore(writer), state: tensors, options: smallOptions())
            try checkpointer.resume()
            #expect(throws: CheckpointError.self) { try checkpointer.save(step: 3).wait() }
            // The failure is the power failure. One in eight loses three names.
            _ = try? pruning?.prune(keep(last: 1))
            for _ in 0..<32 {
                let store = try openStore(disk.crashed(&random), for: .maintaining)
                #expect(try !steps(of: store).isEmpty && store.verify().isWhole, "operation \(k)")
            }
            if counter.operations <= k { break }
        }
    }

    @Test("a save that is committed while checkpoints go keeps what it reused of them", arguments: [true, false])
    func savesMeanwhile(prunes: Bool) throws {
        let tensors = TestTensors(sizes: sizes)
        tensors.fill(1)
        let old = tensors.bytes
        var options = smallOptions()
        (options.deduplicates, options.chunkBytes, options.arenaBytes) = (true, 16384, 4 * 16384)
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        for step in 1...4 {
            if step == 2 { checkpointer.mutate { tensors.fill(2) } }
            try checkpointer.save(step: step, metrics: ["loss": 1]).wait()
        }
        let isDone = Box(false)
        let hooked = HookedFileSystem(memory) { operation throws(FileSystemError) in
            // The manifests have been read by now; the first is still there.
            let isGeneration = operation.verb.hasPrefix("write") && operation.path.string.hasSuffix("/generation")
            let isTime = prunes ? isGeneration : operation.verb == "create" && operation.path.string.hasSuffix(".segment")
            guard isTime, !isDone.value else { return }
            isDone.value = true
            checkpointer.mutate { tensors.fill(1) }
            _ = try? checkpointer.save(step: 5).wait()  // expected below
        }
        if prunes {
            _ = try openStore(hooked, for: .maintaining).prune(keep(last: 1))
            #expect(try steps(of: checkpointer.store) == [5, 4])
        } else {
            _ = try openStore(hooked, for: .maintaining).repack()
        }
        #expect(isDone.value)
        let copy = TestTensors(sizes: sizes)
        try checkpointer.store.restore(.step(5), into: copy)
        #expect(copy.bytes == old)
        #expect(try checkpointer.store.verify().isWhole)
        try checkpointer.close()
    }

    @Test("beside a writer that saves, reuses and expires, and readers: all that is there is whole")
    func besideAWriter() throws {
        let directory = try TemporaryDirectory()
        let tensors = TestTensors(sizes: sizes)
        tensors.fillPattern(1)
        var options = smallOptions(workers: 2)
        (options.deduplicates, options.keepLast) = (true, 12)
        let checkpointer = try Checkpointer(
            store: CheckpointStore.open(directory.path, for: .writing), state: tensors, options: options)
        let (isOver, problems) = (Box(false), Box<[String]>([]))
        let pruner = try WorkerThread(name: "pruner") {
            while !isOver.value {
                do throws(CheckpointError) {
                    _ = try CheckpointStore.open(directory.path, for: .maintaining).prune(keep(last: 3))
                } catch { if error.code != .busy { problems.value.append("prune: \(error)") } }
            }
        }
        let reader = try WorkerThread(name: "reader") {
            while !isOver.value {
                do throws(CheckpointError) {
                    let store = try CheckpointStore.open(directory.path)
                    let copy = TestTensors(sizes: sizes)
                    if try !store.files.names().isEmpty { try store.restore(.latest, into: copy) }
                } catch { if ![.notFound, .damaged].contains(error.code) { problems.value.append("restore: \(error)") } }
            }
        }
        var contents: [Int: [UInt8]] = [:]
        for step in 1...60 {
            checkpointer.mutate { tensors.write(UInt64(step % 4), atWord: step * 400 % 3000) }
            contents[step] = tensors.bytes
            try checkpointer.save(step: step).wait()
        }
        isOver.value = true
        pruner.join()
        reader.join()
        try checkpointer.close()
        #expect(problems.value == [])
        try check(checkpointer.store, contents, "afterwards")
        #expect(try steps(of: checkpointer.store).first == 60)
    }
}
