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

/// Restores from the mirror what the disk has lost or damaged: the newest checkpoint or a named
/// one, by one process or by several ranks.
@Suite("Nearest restore", .timeLimit(.minutes(10)))
struct NearestRestoreTests {
    private static let sizes = [40_000, 64, 20_000]
    private let directory: TemporaryDirectory
    private let path: String
    private let mirrorPath: String

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.appending("store")
        mirrorPath = directory.appending("mirror")
    }

    private var options: CheckpointerOptions {
        var options = smallOptions(workers: 2)
        options.run = "experiment"
        return options
    }

    private func content(_ step: Int) -> [UInt8] {
        let tensors = TestTensors(sizes: Self.sizes)
        tensors.fillPattern(UInt64(step))
        return tensors.bytes
    }

    private func train(
        _ steps: ClosedRange<Int>, _ mirror: BackgroundMirror,
        restoring: (Checkpointer, TestTensors) throws -> Void = { _, _ in }
    ) throws {
        let tensors = TestTensors(sizes: Self.sizes)
        try withCheckpointer(path, state: tensors, options: options, mirror: mirror) { saver in
            try restoring(saver, tensors)
            for step in steps {
                saver.mutate { tensors.fillPattern(UInt64(step)) }
                try saver.save(step: step).wait()
                try saver.waitUntilMirrored(within: .seconds(60))
            }
        }
    }

    private var mirror: BackgroundMirror { BackgroundMirror(.directory(mirrorPath)) }

    private func prune(keepLast: Int) throws {
        let store = try CheckpointStore.open(path, for: .maintaining)
        var policy = RetentionPolicy()
        policy.keepLast = keepLast
        _ = try store.prune(policy)
        try store.close()
        #expect(try steps(of: CheckpointStore.open(path)).count == keepLast)
    }

    /// Flips bytes in the newest checkpoint's own segment.
    private func damageNewest() throws {
        let store = try CheckpointStore.open(path)
        let newest = try store.files.load(#require(store.files.names().last)).manifest
        let own = try #require(newest.segments.first { "\($0.name)".hasPrefix("\(newest.id)") })
        let handle = try #require(FileHandle(forUpdatingAtPath: "\(path)/segments/\(own.name)"))
        try handle.seek(toOffset: 9000)
        try handle.write(contentsOf: [0xA5, 0x5A, 0xA5])
        try handle.close()
    }

    @Test("A named checkpoint that only the mirror has is restored from there, and the run branches off")
    func named() throws {
        try train(1...4, mirror)
        try prune(keepLast: 1)
        try train(5...5, mirror) { saver, tensors in
            let report = try saver.restore(.step(2))
            #expect(report.step == 2 && report.mirror == mirrorPath && tensors.bytes == content(2))
            let again = try saver.resume(from: .reference(.stepOfRun("experiment", step: 3)))
            #expect(again.step == 3 && again.mirror == mirrorPath && tensors.bytes == content(3))
            let own = try saver.restore(.step(4))
            #expect(own.mirror == nil && tensors.bytes == content(4))
            let error = #expect(throws: CheckpointError.self) { try saver.restore(.step(9)) }
            #expect(error?.code == .notFound)
            try saver.restore(.step(2))
        }
        // Not the newest of the run: a branch of its own.
        let newest = try CheckpointStore.open(path).checkpoints().first?.get()
        let second = try CheckpointStore.open(mirrorPath).checkpoints().map { try $0.get() }.first { $0.step == 2 }
        #expect(newest?.step == 5 && newest?.parent == second?.id && second != nil)
        #expect(newest?.origin.branch != second?.origin.branch)
    }

    @Test("A named checkpoint that is damaged, and latest, are restored from the mirror")
    func damaged() throws {
        try train(1...3, mirror)
        try damageNewest()
        try train(4...4, mirror) { saver, tensors in
            for reference in [CheckpointReference.step(3), .latest, .latestOfRun("experiment")] {
                tensors.fillPattern(99)
                let report = try saver.restore(reference)
                #expect(report.step == 3 && report.mirror == mirrorPath && tensors.bytes == content(3))
            }
        }
        // It was the newest of the run, which goes on.
        let found = try CheckpointStore.open(path).checkpoints().compactMap { try? $0.get() }
        #expect(found.first?.step == 4 && Set(found.map(\.origin.branch)).count == 1)
    }

    @Test("Without the disk, a named checkpoint continues the run that is in the mirror")
    func lostDisk() throws {
        try train(1...3, mirror)
        try FileManager.default.removeItem(atPath: path)
        try train(4...4, mirror) { saver, tensors in
            let report = try saver.restore(.latest)
            #expect(report.step == 3 && tensors.bytes == content(3))
        }
        let found = try CheckpointStore.open(mirrorPath).checkpoints().map { try $0.get() }
        #expect(found.map(\.step) == [4, 3, 2, 1])
        #expect(Set(found.map(\.origin.run)).count == 1 && Set(found.map(\.origin.branch)).count == 1)
        #expect(found.first?.origin.restart == 1)
    }

    // MARK: Several ranks

    /// Lets two ranks do the same, each with a state of its own.
    private func ranks(
        mirrors: [BackgroundMirror?], launch: String = "job",
        _ body: @escaping @Sendable (Checkpointer, TestTensors) throws -> RestoreReport?
    ) throws -> [Result<(Int?, String?, [UInt8]), any Error>?] {
        let results = Monitor<[Int: Result<(Int?, String?, [UInt8]), any Error>]>([:], rank: .unchecked)
        let options = options
        let threads = try (0..<2).map { rank in
            try WorkerThread(name: "rank-\(rank)") { [path] in
                let result = Result {
                    var ranks = RankGroup(rank: rank, worldSize: 2, launch: launch)
                    ranks.startTimeout = .seconds(60)
                    let store = try CheckpointStore.open(path, for: .writing, ranks: ranks, mirror: mirrors[rank])
                    let tensors = TestTensors(sizes: Self.sizes)
                    let checkpointer = try Checkpointer(store: store, state: tensors, options: options)
                    defer {
                        // Not before the mirror's thread has ended, which uses the store, too.
                        try? checkpointer.close()
                        try? store.close()
                    }
                    let report = try body(checkpointer, tensors)
                    return (report?.step, report?.mirror, tensors.bytes)
                }
                results.withLock { $0[rank] = result }
            }
        }
        for thread in threads { thread.join() }
        return results.withLock { results in (0..<2).map { results[$0] } }
    }

    private func expectAll(
        _ results: [Result<(Int?, String?, [UInt8]), any Error>?], _ step: Int?, from mirror: String?
    ) throws {
        for result in results {
            let (found, place, bytes) = try #require(result).get()
            #expect(found == step && place == mirror, "\(place ?? "own")")
            if let step { #expect(bytes == content(step)) }
        }
    }

    @Test("Several ranks without their disk resume from the mirror, and say so")
    func ranksWithoutDisk() throws {
        try train(1...3, mirror)
        try FileManager.default.removeItem(atPath: path)
        let found = try ranks(mirrors: [mirror, mirror]) { saver, _ in try saver.resume() }
        try expectAll(found, 3, from: mirrorPath)
    }

    @Test("Several ranks take from the mirror what is damaged on the disk, and named ones that it has not")
    func ranksWithDamage() throws {
        try train(1...2, mirror)
        try train(3...3, mirror) { saver, _ in try saver.resume() }
        try prune(keepLast: 2)
        try damageNewest()
        let newest = try ranks(mirrors: [mirror, mirror]) { saver, _ in try saver.resume() }
        try expectAll(newest, 3, from: mirrorPath)
        let named = try ranks(mirrors: [mirror, mirror], launch: "second") { saver, _ in try saver.restore(.step(1)) }
        try expectAll(named, 1, from: mirrorPath)
        let own = try ranks(mirrors: [mirror, mirror], launch: "third") { saver, _ in try saver.restore(.step(2)) }
        try expectAll(own, 2, from: nil)
        let missing = try ranks(mirrors: [mirror, mirror], launch: "fourth") { saver, _ in try saver.restore(.step(7)) }
        for result in missing {
            #expect(throws: CheckpointError.self) { _ = try result?.get() }
        }
    }

    @Test("Of several ranks one without the mirror restores what is on the disk, or tells all why not")
    func rankWithoutMirror() throws {
        try train(1...3, mirror)
        try damageNewest()
        let older = try ranks(mirrors: [mirror, nil]) { saver, _ in try saver.resume() }
        try expectAll(older, 2, from: nil)
        try FileManager.default.removeItem(atPath: path)
        for result in try ranks(mirrors: [mirror, nil], launch: "second", { saver, _ in try saver.resume() }) {
            let error = #expect(throws: CheckpointError.self) { _ = try result?.get() }
            #expect(error?.code == .unsupported && error?.message.contains("only in the mirror") == true, "\(error as Any)")
            #expect(error?.remedy?.contains("Give all ranks the same mirror") == true)
        }
    }

    @Test("A mirror that several ranks cannot read keeps none of them from an older checkpoint")
    func unreadableMirror() throws {
        try train(1...3, mirror)
        try damageNewest()
        try FileManager.default.removeItem(atPath: mirrorPath + "/store.json")
        let older = try ranks(mirrors: [mirror, mirror]) { saver, _ in try saver.resume() }
        try expectAll(older, 2, from: nil)
    }

    // MARK: Retention of the mirror

    @Test("What the mirror has removed by its own rules is not sent again after a restart")
    func retention() throws {
        let memory = InMemoryObjectStore()
        let sent = Monitor<[String]>([], rank: .unchecked)
        let objects = HookedObjectStore(memory) { operation, key throws(ObjectStoreError) in
            guard operation == "upload" || operation == "create", key.hasPrefix("manifests/") else { return }
            sent.withLock { $0.append(key) }
        }
        var policy = RetentionPolicy()
        policy.keepEvery = 10
        func rules() -> BackgroundMirror {
            var mirror = BackgroundMirror(objects, cache: FilePath(directory.appending("cache")), keeping: policy)
            mirror.prunesEvery = .zero
            return mirror
        }
        try train(8...22, rules())
        let kept = memory.keys.filter { $0.hasPrefix("manifests/") }
        #expect(kept.count < 6 && sent.withLock { $0.count } == 15)
        try train(23...23, rules()) { saver, _ in
            try saver.resume()
            try saver.waitUntilMirrored(within: .seconds(60))
            #expect(sent.withLock { $0.count } == 15)
        }
        #expect(sent.withLock { $0.count } == 16)
        // A mirror that is lost begins again, with what the rules keep.
        for key in memory.keys { memory.remove(key) }
        try train(24...24, rules()) { saver, _ in try saver.resume() }
        let again = memory.keys.filter { $0.hasPrefix("manifests/") }.count
        #expect(again >= 3 && again < 8)
        #expect(sent.withLock { $0.count } < 16 + 8)
    }
}
