internal import CheckpointIO
internal import CheckpointMaintenance
internal import CheckpointObjects
internal import CheckpointTestSupport
internal import Checkpointing
internal import Logging
internal import SystemPackage

/// One process, which does one thing until the power fails. Its errors are dropped: what counts is
/// what the next process finds.
struct Life: Sendable {
    let number: Int
    let verb: Verb
    /// Sizes of the tensors.
    let sizes: [Int]
    /// The disk, which fails at some operation and from then on.
    let disk: any FileSystem
    let options: CheckpointerOptions
    let ledger: Monitor<Ledger>
    /// Draws what is removed or pinned.
    let seed: UInt64

    func run() {
        do {
            switch verb {
            case .train, .resume, .expire: try train()
            case .prune: try prune()
            case .remove: try remove()
            case .repack:
                var options = RepackOptions()
                options.threads = 1
                _ = try maintained().repack(options)
            case .repair: _ = try maintained().repair()
            case .pin: try pin()
            case .copy: try copy()
            case .mirror: try mirror()
            }
        } catch {}  // The power has failed, or there was nothing to do.
    }

    private func open(
        _ access: CheckpointStore.Access, _ root: FilePath = "/store"
    ) throws -> CheckpointStore {
        try CheckpointStore(fileSystem: disk, root: root, access: access, catalog: .nowhere)
    }

    private func maintained() throws -> CheckpointStore { try open(.maintaining) }

    private func train() throws {
        let store = try open(.writing)
        let tensors = TestTensors(sizes: sizes, groups: ["a", "b"])
        let checkpointer = try Checkpointer(store: store, state: tensors, options: options)
        var first = 1
        if verb == .resume {
            // Of an empty store, it begins.
            first += (try? checkpointer.resume(from: .any))?.step ?? 0
        }
        var own: [CheckpointID] = []
        for step in first..<first + 6 {
            let content = UInt64(number * 1000 + step)
            checkpointer.mutate { tensors.fillPattern(content) }
            // Retention may begin as soon as the save is committed, before anybody is told.
            let old = Set(own.dropLast())
            if verb == .expire { ledger.withLock { $0.removable.formUnion(old) } }
            let ticket = try checkpointer.save(step: step)
            ledger.withLock { $0.contents[ticket.id] = content }
            try ticket.wait()
            ledger.withLock { _ = $0.acknowledged.insert(ticket.id) }
            own.append(ticket.id)
        }
        try checkpointer.close()
    }

    /// The checkpoints that are there, newest first.
    private func ids(_ store: CheckpointStore) throws -> [CheckpointID] {
        try store.checkpoints().map { try $0.get().id }
    }

    private func prune() throws {
        let store = try maintained()
        var policy = RetentionPolicy()
        policy.keepLast = 2
        let plan = try store.prune(policy, isDryRun: true)
        ledger.withLock { ledger in
            ledger.removable.formUnion(plan.checkpoints.filter(\.isRemoved).map(\.id))
        }
        let report = try store.prune(policy)
        let removed = report.checkpoints.filter(\.isRemoved).map(\.id)
        ledger.withLock { $0.removed.formUnion(removed) }
    }

    private func remove() throws {
        let store = try maintained()
        var random = SeededGenerator(seed)
        guard let id = try ids(store).randomElement(using: &random) else { return }
        ledger.withLock { ledger in
            ledger.removable.insert(id)
            ledger.pinned.remove(id)
        }
        let report = try store.remove([.id(prefix: id.description)], isForced: true)
        if report.checkpoints.allSatisfy({ $0.outcome == .removed }) {
            ledger.withLock { _ = $0.removed.insert(id) }
        }
    }

    private func pin() throws {
        let store = try maintained()
        var random = SeededGenerator(seed)
        guard let id = try ids(store).randomElement(using: &random) else { return }
        _ = try store.pin(.id(prefix: id.description))
        ledger.withLock { _ = $0.pinned.insert(id) }
    }

    private func copy() throws {
        let copy = try open(.writing, "/copy")
        let report = try open(.reading).copy(to: copy)
        for row in report.checkpoints where row.outcome == .copied || row.outcome == .present {
            guard let id = row.id else { continue }
            ledger.withLock { _ = $0.copied.insert(id) }
        }
    }

    private func mirror() throws {
        let store = try open(.reading)
        let before = try ids(store)
        let mirror = try StoreMirror(of: store, to: DirectoryObjectStore("/mirror", files: disk))
        let report = try mirror.synchronize()
        guard report.checkpoints.allSatisfy({ [.mirrored, .present].contains($0.outcome) }) else {
            return
        }
        ledger.withLock { $0.mirrored.formUnion(before) }
    }
}
