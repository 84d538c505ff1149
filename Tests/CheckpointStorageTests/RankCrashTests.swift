import CheckpointFormat
import CheckpointIO
import CheckpointMaintenance
import CheckpointSegments
import CheckpointSharding
import CheckpointStorage
import CheckpointTestSupport
import CheckpointingTestSupport
import SystemPackage
import Testing

/// One rank stops at every operation of the commit, and then the machines lose power.
@Suite("Crashes of several ranks", .timeLimit(.minutes(20)))
struct RankCrashTests {
    private static let worldSize = 3

    private func tensor(_ seed: UInt64) throws -> TestTensor {
        var random = SeededGenerator(seed)
        let sharding = TensorSharding([3, 5]).split(0, over: "tp")
        return TestTensor("w", .u8, sharding, try RankMesh(["tp": 3]), &random)
    }

    /// Saves step 1 and begins step 2, of which one rank stops before an operation.
    ///
    /// - Returns: true if a rank was told that step 2 is committed; and the number of operations
    ///   that the victim has carried out.
    private func workload(
        _ files: InMemoryFileSystem, victim: Int, stopsAt limit: Int
    ) throws -> (isCommitted: Bool, operations: Int) {
        let store = try openStore(files)
        defer { try? store.close() }  // the store is open
        let first = RankSave(store: store, step: 1, worldSize: Self.worldSize)
        for rank in 0..<Self.worldSize { try first.save(rank, [tensor(1)]) }
        _ = try first.commit(0).finish()
        let count = Box(0)
        let dying = HookedFileSystem(files) { operation throws(FileSystemError) in
            var isDead = false
            count.withLock { count in
                isDead = count >= limit
                count += 1
            }
            if isDead { throw FileSystemError(operation.verb, operation.path, .ioError) }
        }
        var second = RankSave(store: store, step: 2, worldSize: Self.worldSize)
        second.timeout = .milliseconds(40)
        var isCommitted = false
        for rank in 0..<Self.worldSize {
            let fileSystem: any FileSystem = rank == victim ? dying : files
            // What the victim throws, it would not have lived to see.
            try? second.save(rank, [tensor(2)], on: fileSystem)
        }
        for rank in [victim] + (0..<Self.worldSize).filter({ $0 != victim }) {
            let commit = second.commit(rank, rank == victim ? dying : files)
            // A rank that is not told of a commit knows nothing.
            if (try? commit.finish()) != nil { isCommitted = true }
        }
        return (isCommitted, count.value)
    }

    @Test("A reader sees the old or the new checkpoint, complete", arguments: 0..<3)
    func everyOperation(_ victim: Int) throws {
        let all = try workload(InMemoryFileSystem(), victim: victim, stopsAt: .max)
        #expect(all.isCommitted && all.operations > 15)
        for limit in 0...all.operations {
            let files = InMemoryFileSystem()
            let (isCommitted, _) = try workload(files, victim: victim, stopsAt: limit)
            // Which of the directory entries and bytes that were not synced are lost.
            for seed in Seeds.ofTheDay(1, of: 4) {
                var random = SeededGenerator(UInt64(limit * 100) + seed)
                let after = files.crashed(&random)
                let comment: Comment = "victim \(victim), operation \(limit), seed \(seed)"
                let store = try openStore(after)
                let found = try steps(of: store)
                #expect(found == [1] || found == [2, 1], comment)
                #expect(!isCommitted || found == [2, 1], comment)
                for step in found.compactMap({ $0 }) {
                    let content = try store.checkpoint(.step(step)).bytes(ofTensor: "w")
                    #expect(content == (try tensor(UInt64(step)).content), comment)
                }
                #expect(try store.verify().findings.allSatisfy { $0.kind == .note }, comment)
                // The next attempt is not disturbed by what is left of this one.
                let next = RankSave(store: store, step: 3, worldSize: Self.worldSize)
                for rank in 0..<Self.worldSize { try next.save(rank, [tensor(3)]) }
                _ = try next.commit(0).finish()
                #expect(try store.checkpoint().bytes(ofTensor: "w") == tensor(3).content, comment)
            }
        }
    }

    @Test("What a rank in flight has staged stays, and what else is staged goes")
    func staged() throws {
        let files = InMemoryFileSystem()
        let store = try openStore(files)
        let save = RankSave(store: store, step: 1, worldSize: Self.worldSize)
        try save.save(0, [tensor(1)])
        let directory = store.directories.staging
        try store.close()
        // Rank 1 of the save in flight, and one of a save that nobody has begun.
        let names = [save.id, .random()].map {
            SegmentName(attempt: $0, rank: 1, number: 0).description
        }
        for name in names { try files.create(directory.appending(name)).close() }
        try openStore(files).close()
        #expect(try files.list(directory) == [names[0]])
    }
}
