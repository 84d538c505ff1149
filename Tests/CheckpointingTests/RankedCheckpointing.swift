import CheckpointIO
import CheckpointStorage
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import SystemPackage
import Testing

/// Checkpointers of several ranks, each on a thread of this process, that save one state together.
protocol RankedCheckpointing: Sendable {}

extension RankedCheckpointing {
    func options() -> CheckpointerOptions {
        var options = smallOptions()
        options.run = "ranks"
        return options
    }

    func open(
        _ files: any FileSystem, _ rank: Int, of worldSize: Int, launch: String,
        group: InProcessGroup? = nil, timeout: Duration = .seconds(60)
    ) throws -> CheckpointStore {
        var ranks =
            group.map { RankGroup($0.member(rank)) }
            ?? RankGroup(rank: rank, worldSize: worldSize, launch: launch)
        (ranks.timeout, ranks.startTimeout) = (timeout, timeout)
        return try CheckpointStore(
            fileSystem: files, root: "/store", access: .writing, catalog: .nowhere, ranks: ranks)
    }

    /// Runs `body` for each rank on a thread of its own, and returns what they throw.
    func onEachRank(
        _ worldSize: Int, _ body: @escaping @Sendable (Int) throws -> Void
    ) throws -> [Int: any Error] {
        let errors = Box<[Int: any Error]>([:])
        let threads = try (0..<worldSize).map { rank in
            try WorkerThread(name: "rank-\(rank)") {
                do { try body(rank) } catch { errors.withLock { $0[rank] = error } }
            }
        }
        for thread in threads { thread.join() }
        return errors.value
    }

    /// Saves steps 1 to 3 with ranks.
    func train(
        _ files: InMemoryFileSystem, worldSize: Int, launch: String, group: InProcessGroup? = nil
    ) throws {
        let options = options()
        let errors = try onEachRank(worldSize) { rank in
            let store = try open(files, rank, of: worldSize, launch: launch, group: group)
            let state = try RankState(rank, of: worldSize)
            let checkpointer = try Checkpointer(
                store: store, state: state.provider, options: options)
            for step in 1...3 {
                checkpointer.mutate { state.update(to: step) }
                try checkpointer.save(step: step).wait()
            }
            try checkpointer.close()
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
    }
}
