import CheckpointFormat
import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
@testable import CheckpointMaintenance
import CheckpointSegments
@testable import CheckpointStorage
import CheckpointTestSupport
import SystemPackage
import Testing

private let sizes = [40_000, 64, 20_000]

@Suite("Copying between stores", .timeLimit(.minutes(20)))
struct CopyTests {
    private let memory = InMemoryFileSystem()
    private let other = InMemoryFileSystem()

    /// Steps 1 to `count` that share much, repacked if `isRepacked`.
    private func makeStore(_ count: Int, isRepacked: Bool) throws -> [Int: [UInt8]] {
        let tensors = TestTensors(sizes: sizes)
        tensors.fillPattern(1)
        var options = smallOptions(workers: 2)
        (options.deduplicates, options.chunkBytes, options.arenaBytes, options.compression) = (true, 16384, 4 * 16384, .fast)
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        var contents: [Int: [UInt8]] = [:]
        for step in 1...count {
            checkpointer.mutate {
                for word in 0..<100 { tensors.write(UInt64(step), atWord: step * 7 + word * 20) }
                tensors.fill(UInt64(step), tensor: 1)
            }
            contents[step] = tensors.bytes
            try checkpointer.save(step: step, metrics: ["loss": 1 / Double(step)]).wait()
        }
        try checkpointer.close()
        if isRepacked { #expect(try openStore(memory, for: .maintaining).repack().checkpoints.contains { $0.deltaCount > 0 }) }
        return contents
    }

    private func check(_ store: CheckpointStore, _ contents: [Int: [UInt8]], _ comment: Comment = "") throws {
        for step in try steps(of: store) {
            let (step, tensors) = (try #require(step), TestTensors(sizes: sizes))
            try store.restore(.step(step), into: tensors)
            #expect(tensors.bytes == contents[step], comment)
        }
        #expect(try store.verify().findings.isEmpty, comment)
    }

    private func bytes(_ fileSystem: InMemoryFileSystem) -> Int {
        fileSystem.files.filter { $0.key.string.hasPrefix("/store/segments/") }.reduce(0) { $0 + $1.value.count }
    }

    @Test("everything arrives as it was, deltas as deltas, and a second time there is nothing to do", arguments: [true, false])
    func all(isRepacked: Bool) throws {
        let contents = try makeStore(10, isRepacked: isRepacked)
        let source = try openStore(memory, for: .maintaining)
        try source.tag(.step(3), #require(TagName("three")))
        let dry = try source.copy(to: nil, isDryRun: true)
        let target = try openStore(other)
        let report = try source.copy(to: target)
        #expect(report.checkpoints.map(\.step) == Array((1...10).reversed()) && report.checkpoints.allSatisfy { $0.outcome == .copied })
        #expect(report.checkpoints.allSatisfy { $0.reencodedCount == 0 } && dry.newBytes == report.newBytes)
        try check(target, contents)
        #expect(try steps(of: target).count == 10)
        for name in try source.files.names() {
            let (a, b) = (try source.files.load(name).manifest, try target.files.load(name).manifest)
            #expect(a.id == b.id && a.parent == b.parent && a.metrics == b.metrics && a.created == b.created && b.store == target.id)
            #expect(a.chunks.map(\.hash) == b.chunks.map(\.hash))
            #expect(a.blocks.count { $0.base != nil } == b.blocks.count { $0.base != nil })
        }
        #expect(try target.tags().map(\.tag.description) == ["three"] && report.tags.count == 1)
        // What a store holds for nobody any more is not copied; the rest takes what it took.
        #expect(bytes(other) <= bytes(memory))
        let before = other.files
        let again = try source.copy(to: target)
        #expect(again.checkpoints.allSatisfy { $0.outcome == .present } && again.newBytes == 0 && again.tags.isEmpty)
        #expect(other.files == before)
        #expect(try other.list("/store/staging").isEmpty)
        // The copy can be repacked and pruned like any other.
        _ = try openStore(other, for: .maintaining).repack()
        try check(target, contents)
    }

    @Test("a delta whose base is not copied is encoded by itself; copied later, the base is one again")
    func some() throws {
        let contents = try makeStore(8, isRepacked: true)
        let (source, target) = (try openStore(memory, for: .reading), try openStore(other))
        let report = try source.copy([.step(2), .step(5), .best(metric: "loss", isLargest: true)], to: target)
        #expect(report.checkpoints.map(\.step) == [5, 2, 1] && report.checkpoints.contains { $0.reencodedCount > 0 })
        #expect(try steps(of: target) == [5, 2, 1])
        try check(target, contents)
        #expect(try source.copy(to: target).checkpoints.count { $0.outcome == .copied } == 5)
        #expect(try steps(of: target).count == 8)
        try check(target, contents)
    }

    @Test("what the destination holds, chunk by chunk, is not written again")
    func deduplicates() throws {
        let contents = try makeStore(2, isRepacked: false)
        let tensors = TestTensors(sizes: sizes)
        try openStore(memory, for: .reading).restore(.step(2), into: tensors)
        var options = smallOptions()
        (options.deduplicates, options.chunkBytes, options.arenaBytes) = (true, 16384, 4 * 16384)
        let checkpointer = try Checkpointer(store: openStore(other), state: tensors, options: options)
        try checkpointer.save(step: 50).wait()
        try checkpointer.close()
        let report = try openStore(memory, for: .reading).copy([.latest], to: checkpointer.store)
        #expect(report.checkpoints.first?.outcome == .copied && report.newBytes == 0)
        var all = contents
        all[50] = contents[2]
        try check(checkpointer.store, all)
    }

    @Test("killed at every operation: what is there is whole, and another run goes on", arguments: [true, false])
    func everyOperation(isRepacked: Bool) throws {
        let contents = try makeStore(3, isRepacked: isRepacked)
        let source = try openStore(memory, for: .maintaining)
        try source.tag(.step(2), #require(TagName("two")))
        var random = SeededGenerator(5)
        for k in 0... {
            let disk = InMemoryFileSystem()
            let counter = FaultCounter()
            let dying = HookedFileSystem(disk, before: counter.hook(failAt: k, .ioError, forEver: true))
            // The failure is the crash.
            if let target = try? openStore(dying) { _ = try? source.copy(to: target) }
            let left = disk.crashed(&random)
            let target = try openStore(left)
            try check(target, contents, "crash at operation \(k)")
            let report = try source.copy(to: target)
            #expect(report.checkpoints.count == 3 && report.checkpoints.allSatisfy { $0.outcome != .failed })
            #expect(try steps(of: target) == [3, 2, 1] && target.tags().map(\.step) == [2], "crash at operation \(k)")
            try check(target, contents, "after a crash at operation \(k)")
            #expect(try left.list("/store/staging").isEmpty)
            if counter.operations <= k {
                #expect(k > 30)
                break
            }
        }
    }

    @Test("a copy is killed at any operation, the next one finds everything, and then power fails")
    func killedBefore() throws {
        let contents = try makeStore(3, isRepacked: false)
        let source = try openStore(memory, for: .maintaining)
        try source.tag(.step(2), #require(TagName("two")))
        var random = SeededGenerator(5)
        for k in 0... {
            let disk = InMemoryFileSystem()
            let counter = FaultCounter()
            let dying = HookedFileSystem(disk, before: counter.hook(failAt: k, .ioError, forEver: true))
            // The failure is the kill.
            if let target = try? openStore(dying) { _ = try? source.copy(to: target) }
            let next = disk.killed()
            _ = try source.copy(to: openStore(next))
            let target = try openStore(next.crashed(&random))
            #expect(try steps(of: target) == [3, 2, 1] && target.tags().map(\.step) == [2], "killed at operation \(k)")
            try check(target, contents, "killed at operation \(k)")
            if counter.operations <= k { break }
        }
    }

    @Test("a damaged checkpoint is left out and told of; what is copied is whole")
    func damage() throws {
        let contents = try makeStore(3, isRepacked: false)
        let source = try openStore(memory, for: .reading)
        let manifest = try source.load(.step(2)).manifest
        let own = try #require(manifest.blocks.first { manifest.segments[$0.segment].name.attempt == manifest.id })
        let path = source.directories.path(of: manifest.segments[own.segment].name)
        var bytes = try #require(memory.files[path])
        bytes[own.offset + own.storedBytes / 2] ^= 1
        memory.overwrite(path, with: bytes)
        let target = try openStore(other)
        let report = try source.copy(to: target)
        #expect(report.checkpoints.first { $0.step == 2 }?.outcome == .failed)
        #expect(report.checkpoints.first { $0.step == 2 }?.error?.code == .damaged)
        #expect(try steps(of: target).contains(2) == false)
        try check(target, contents)
        #expect(try other.list("/store/staging").isEmpty)
    }

    @Test("a destination that is being pruned, is not open for writing, or has another checkpoint of that name is refused")
    func refuses() throws {
        _ = try makeStore(2, isRepacked: false)
        let source = try openStore(memory, for: .reading)
        let target = try openStore(other)
        func code(_ target: CheckpointStore) -> CheckpointError.Code? {
            do throws(CheckpointError) {
                _ = try source.copy(to: target)
                return nil
            } catch { return error.code }
        }
        do {
            let maintaining = try openStore(other, for: .maintaining)
            #expect(code(target) == .busy && maintaining.access == .maintaining)
        }
        #expect(try code(openStore(other, for: .reading)) == .misuse)
        #expect(code(target) == nil)
        let name = try #require(try target.files.names().first)
        var manifest = try target.files.load(name).manifest
        manifest.id = .random()
        other.overwrite(target.directories.path(of: name), with: manifest.encoded(digest: Hashing.digest))
        #expect(code(target) == .exists)
    }
}
