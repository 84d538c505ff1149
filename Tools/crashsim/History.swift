internal import CheckpointIO
internal import CheckpointMaintenance
internal import CheckpointTestSupport
internal import Checkpointing
internal import Logging
internal import SystemPackage

/// The history of one store, made of lives that end in crashes. A seed decides everything but the
/// order in which threads come to the disk.
struct History {
    private var random: SeededGenerator
    private var disk = InMemoryFileSystem()
    private let ledger = Monitor(Ledger(), rank: .unchecked)
    private let sizes: [Int]
    /// What was done so far, for the message of a failure.
    private(set) var lives: [String] = []

    init(seed: UInt64) {
        random = SeededGenerator(seed)
        var sizes: [Int] = []
        for _ in 0..<Int.random(in: 1...5, using: &random) {
            sizes.append(8 * Int.random(in: 0...1500, using: &random))
        }
        self.sizes = sizes
    }

    /// - Parameter crashes: is added the number of lives of each kind.
    mutating func run(_ crashes: inout [Verb: Int]) throws {
        try disk.makeDirectory("/mirror")
        try disk.syncDirectory("/")
        for number in 0..<Int.random(in: 2...8, using: &random) {
            let first: Verb = number == 0 ? .train : Verb.allCases.randomElement(using: &random) ?? .train
            var verbs = [first]
            // Beside a trainer, somebody maintains.
            if first.isTraining, number > 0, Bool.random(using: &random) {
                verbs += Verb.besideTraining.shuffled(using: &random).prefix(1)
            }
            let k = Int.random(in: 0..<(first.isTraining ? 90 : 60), using: &random)
            lives.append("\(verbs.map(\.rawValue).joined(separator: " beside ")) until \(k)")
            try live(number, verbs, until: k)
            for verb in verbs { crashes[verb, default: 0] += 1 }
            disk = disk.crashed(&random)
            // What is checked is repaired by opening it: the next life shall find it as it is.
            try check(disk.crashed(&random))
        }
    }

    private mutating func live(_ number: Int, _ verbs: [Verb], until k: Int) throws {
        let dying = HookedFileSystem(
            disk, before: FaultCounter().hook(failAt: k, .ioError, forEver: true))
        let lives = verbs.map { verb in
            Life(
                number: number, verb: verb, sizes: sizes, disk: dying, options: options(verb),
                ledger: ledger, seed: random.next())
        }
        let beside = try lives.dropFirst().map { life in
            try WorkerThread(name: "beside") { life.run() }
        }
        lives[0].run()
        for thread in beside { thread.join() }
    }

    private mutating func options(_ verb: Verb) -> CheckpointerOptions {
        var options = CheckpointerOptions()
        options.chunkBytes = 4096
        options.arenaBytes = Int.random(in: 1...4, using: &random) * 4096
        options.workers = Int.random(in: 1...3, using: &random)
        options.compression = [.none, .lz4, .zstd(level: 1)].randomElement(using: &random) ?? .none
        options.keepLast = verb == .expire ? 2 : nil
        options.logger.logLevel = .critical
        return options
    }

    // MARK: Checking

    private func check(_ disk: InMemoryFileSystem) throws {
        let ledger = ledger.withLock { $0 }
        let found = try check("/store", on: disk, has: ledger.required, ledger, opens: .writing)
        for checkpoint in found where ledger.removed.contains(checkpoint.id) {
            throw lost("checkpoint \(checkpoint.id) was removed, and is back")
        }
        let pinned = Set(found.filter(\.isPinned).map(\.id))
        for id in ledger.pinned.intersection(ledger.required) where !pinned.contains(id) {
            throw lost("the pin of \(id) is gone")
        }
        guard try disk.listIfThere("/store/staging").isEmpty else {
            throw lost("files are left in staging/")
        }
        if try disk.kind(of: "/copy/store.json") != nil {
            _ = try check("/copy", on: disk, has: ledger.copied, ledger, opens: .writing)
        }
        if try disk.kind(of: "/mirror/store.json") != nil {
            _ = try check("/mirror", on: disk, has: ledger.mirrored, ledger, opens: .reading)
        }
    }

    /// Checks that a store has checkpoints, and that all that it has are intact and unchanged.
    private func check(
        _ root: FilePath, on disk: InMemoryFileSystem, has required: Set<CheckpointID>,
        _ ledger: Ledger, opens access: CheckpointStore.Access
    ) throws -> [CheckpointSummary] {
        let store = try CheckpointStore(
            fileSystem: disk, root: root, access: access, catalog: .nowhere)
        let found = try store.checkpoints().map { try $0.get() }
        let missing = required.subtracting(found.map(\.id))
        guard missing.isEmpty else { throw lost("\(root): checkpoints \(missing) are gone") }
        for checkpoint in found {
            guard let content = ledger.contents[checkpoint.id] else {
                throw lost("\(root): nobody has saved checkpoint \(checkpoint.id)")
            }
            let (restored, expected) = (TestTensors(sizes: sizes), TestTensors(sizes: sizes))
            expected.fillPattern(content)
            try store.restore(.id(prefix: checkpoint.id.description), into: restored)
            guard restored.bytes == expected.bytes else {
                throw lost("\(root): checkpoint \(checkpoint.id) has changed")
            }
        }
        if !found.isEmpty { try store.restore(.latest, into: TestTensors(sizes: sizes)) }
        guard try store.verify().isWhole else { throw lost("\(root) is not intact") }
        return found
    }

    private func lost(_ message: String) -> CheckpointError { CheckpointError(.damaged, message) }
}
