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

/// Several ranks that share nothing but a bucket: each has a cache of its own, as on a machine of
/// its own.
@Suite("Ranks and a bucket", .timeLimit(.minutes(10)))
struct RankedBucketTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func objects(_ kind: ObjectStoreContractTests.Kind) -> any ObjectStore {
        ObjectStoreContractTests.make(kind, in: directory)
    }

    private func open(
        _ objects: any ObjectStore, _ rank: Int, of worldSize: Int, launch: String,
        eager: Bool = false
    ) throws -> CheckpointStore {
        var ranks = RankGroup(rank: rank, worldSize: worldSize, launch: launch)
        (ranks.timeout, ranks.startTimeout) = (.seconds(60), .seconds(60))
        if eager { ranks.patience = .zero }
        return try CheckpointStore.open(
            objects, root: "s3:/tests/run",
            cache: FilePath(directory.appending("cache-\(launch)-\(rank)")), for: .writing,
            ranks: ranks)
    }

    private func onEachRank(
        _ worldSize: Int, _ body: @escaping @Sendable (Int) throws -> Void
    ) throws -> [Int: any Error] {
        let errors = Monitor<[Int: any Error]>([:], rank: .unchecked)
        let threads = try (0..<worldSize).map { rank in
            try WorkerThread(name: "rank-\(rank)") {
                do { try body(rank) } catch { errors.withLock { $0[rank] = error } }
            }
        }
        for thread in threads { thread.join() }
        return errors.withLock { $0 }
    }

    @Test("They save together, and other numbers of ranks resume",
        arguments: ObjectStoreContractTests.kinds, [false, true])
    func together(_ kind: ObjectStoreContractTests.Kind, _ isEager: Bool) throws {
        let objects = objects(kind)
        var options = smallOptions()
        options.run = "ranks"
        for (launch, worldSize) in [("a", 3), ("b", 2), ("c", 1)] {
            let expected = launch == "a" ? nil : ["b": "a-2", "c": "b-2"][launch]
            let errors = try onEachRank(worldSize) { [options] rank in
                let store = try open(
                    objects, rank, of: worldSize, launch: launch, eager: isEager)
                let state = try RankedState(rank: rank, of: worldSize)
                let checkpointer = try Checkpointer(store: store, state: state, options: options)
                let resumed = try checkpointer.resume()
                #expect((resumed == nil) == (expected == nil))
                if let expected {
                    #expect(state.stamp == expected)
                    #expect(state.isWhole)
                }
                let first = (resumed?.step ?? 0) + 1
                for number in 1...2 {
                    checkpointer.mutate { state.change(to: "\(launch)-\(number)") }
                    try checkpointer.save(step: first + number - 1).wait()
                }
                try checkpointer.close()
                try store.close()
            }
            #expect(errors.isEmpty, "\(errors)")
        }
        let reader = try CheckpointStore.open(
            objects, root: "s3:/tests/run", cache: FilePath(directory.appending("cache-reader")),
            for: .reading)
        // The segments are named by the parts of the ranks.
        let maintained = try CheckpointStore.open(
            objects, root: "s3:/tests/run", cache: FilePath(directory.appending("cache-maintained")),
            for: .maintaining)
        #expect(try maintained.clean(olderThan: .zero).count == 0)
        try maintained.close()
        #expect(try steps(of: reader).compactMap { $0 } == [6, 5, 4, 3, 2, 1])
        #expect(try reader.verify().findings.isEmpty)
    }

    @Test("A checkpoint is removed when no rank can publish it again")
    func removal() throws {
        let objects = InMemoryObjectStore()
        var options = smallOptions()
        options.run = "ranks"
        let errors = try onEachRank(3) { [options] rank in
            let store = try open(objects, rank, of: 3, launch: "a")
            let state = try RankedState(rank: rank, of: 3)
            let checkpointer = try Checkpointer(store: store, state: state, options: options)
            for step in 1...2 {
                checkpointer.mutate { state.change(to: "a-\(step)") }
                try checkpointer.save(step: step).wait()
            }
            try checkpointer.close()
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
        var policy = RetentionPolicy()
        policy.keepLast = 1
        let openAlone = { (access: CheckpointStore.Access) in
            try CheckpointStore.open(
                objects, root: "s3:/tests/run",
                cache: FilePath(directory.appending("cache-\(access)")), for: access)
        }
        // Its lease has not ended.
        let store = try openAlone(.maintaining)
        #expect(try store.prune(policy).checkpoints.filter(\.isInUse).map(\.step) == [1])
        #expect(try steps(of: store).compactMap { $0 } == [2, 1])
        let attempts = try RankAttempts(files: store.files).list().map { "parts/\($0.name)/" }
        // As if the ranks had begun two days ago.
        for key in objects.keys where key.hasSuffix(".begun") {
            let prefix = try #require(attempts.first { key.hasPrefix($0) })
            guard case .begun(let rank, let worldSize, let time) = PartName(
                String(key.dropFirst(prefix.count)))
            else { continue }
            let old = PartName.begun(
                rank: rank, worldSize: worldSize, milliseconds: time - 48 * 60 * 60 * 1000)
            try objects.create("\(prefix)\(old)", [])
            objects.remove(key)
        }
        #expect(try store.prune(policy).removedCount == 1)
        try store.close()
        let reader = try openAlone(.reading)
        #expect(try steps(of: reader).compactMap { $0 } == [2])
        #expect(try reader.verify().findings.isEmpty)
        #expect(try reader.leavings().count == 0)
        #expect(objects.keys.count { $0.hasSuffix(".part") } == 3)
    }
}
