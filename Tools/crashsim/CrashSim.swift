internal import CheckpointMaintenance
internal import ArgumentParser
internal import Checkpointing
internal import CheckpointIO
internal import CheckpointTestSupport
internal import Logging
internal import SystemPackage

/// Long runs of what the tests try for a few seeds: a random training run on a file system in memory that loses power at a random
/// operation, again and again on what is left, with everything checked after each crash.
@main
struct CrashSim: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "crashsim", abstract: "Crashes random training runs at random operations and checks what is left.",
        discussion: "Example: crashsim --seeds 1000")

    @Option(help: "Number of random histories.")
    var seeds: UInt64 = 200

    @Option(help: "The first seed.")
    var from: UInt64 = 0

    func run() throws {
        var crashes = 0
        for seed in from..<from + seeds {
            var history = History(seed: seed)
            do { crashes += try history.run() } catch {
                throw ValidationError("seed \(seed): \(error)")
            }
        }
        print("\(seeds) histories, \(crashes) crashes, nothing acknowledged was lost")
    }
}

/// One store's life: several processes, each ended by a crash.
private struct History {
    private var random: SeededGenerator
    private var disk = InMemoryFileSystem()
    private var acknowledged: [CheckpointID: UInt64] = [:]
    private let sizes: [Int]

    init(seed: UInt64) {
        random = SeededGenerator(seed)
        var sizes: [Int] = []
        for _ in 0..<Int.random(in: 1...5, using: &random) { sizes.append(8 * Int.random(in: 0...1500, using: &random)) }
        self.sizes = sizes
    }

    /// - Returns: the number of crashes.
    mutating func run() throws -> Int {
        let lives = Int.random(in: 2...6, using: &random)
        for life in 0..<lives {
            train(life, dyingAt: Int.random(in: 0..<80, using: &random))
            disk = disk.crashed(&random)
            try check()
        }
        return lives
    }

    /// A process that saves until the power fails.
    private mutating func train(_ life: Int, dyingAt k: Int) {
        let dying = HookedFileSystem(disk, before: FaultCounter().hook(failAt: k, .ioError, forEver: true))
        let tensors = TestTensors(sizes: sizes, groups: ["a", "b"])
        do {
            let store = try CheckpointStore(fileSystem: dying, root: "/store", access: .writing, catalog: .nowhere)
            let checkpointer = try Checkpointer(store: store, state: tensors, options: options())
            for step in 1...6 {
                let content = UInt64(life * 100 + step)
                checkpointer.mutate { tensors.fillPattern(content) }
                let ticket = try checkpointer.save(step: step)
                try ticket.wait()
                acknowledged[ticket.id] = content
            }
            try checkpointer.close()
        } catch {
            // The power has failed; what counts is what the next process finds.
        }
    }

    private mutating func options() -> CheckpointerOptions {
        var options = CheckpointerOptions()
        options.chunkBytes = 4096
        options.arenaBytes = Int.random(in: 1...4, using: &random) * 4096
        options.workers = Int.random(in: 1...3, using: &random)
        options.compression = [.none, .lz4, .zstd(level: 1)].randomElement(using: &random) ?? .none
        options.logger.logLevel = .critical
        return options
    }

    /// Checks that every acknowledged checkpoint exists, is intact and unchanged; and that the latest restores.
    private func check() throws {
        let store = try CheckpointStore(fileSystem: disk, root: "/store", access: .writing, catalog: .nowhere)
        let found = try store.checkpoints().map { try $0.get().id }
        for (id, content) in acknowledged {
            guard found.contains(id) else { throw CheckpointError.lost("checkpoint \(id) is gone") }
            let restored = TestTensors(sizes: sizes)
            let expected = TestTensors(sizes: sizes)
            expected.fillPattern(content)
            try store.restore(.id(prefix: id.description), into: restored)
            guard restored.bytes == expected.bytes else { throw CheckpointError.lost("checkpoint \(id) has changed") }
        }
        if !found.isEmpty { try store.restore(.latest, into: TestTensors(sizes: sizes)) }
        guard try store.verify().isWhole else { throw CheckpointError.lost("the store is not intact") }
        guard try disk.list("/store/staging").isEmpty else { throw CheckpointError.lost("files are left in staging/") }
    }
}

extension CheckpointError {
    fileprivate static func lost(_ message: String) -> CheckpointError { CheckpointError(.damaged, message) }
}
