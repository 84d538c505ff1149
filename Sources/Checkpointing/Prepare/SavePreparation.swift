internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointSharding
internal import CheckpointState
internal import CheckpointStorage
internal import SystemPackage

/// The preparation of saves: describes the state, plans its capture, and checks the free space.
///
/// Runs on the trainer's thread, inside `save`.
struct SavePreparation {
    let store: CheckpointStore
    let trained: TrainerState
    let options: CheckpointerOptions
    let runName: String
    /// Segments of expired checkpoints, to be written over; nil if none expire.
    let pool: SegmentPool?
    /// The store's chunks; nil if every chunk is written.
    let reuse: BlockReuse?
    let guarding: (any PageGuarding)?
    let state: Monitor<RunState>
    let history: SaveHistory
    /// The plan of the last save.
    private let lastPlanned = Monitor<PlannedState?>(nil)

    /// Freezes the objects and describes the tensors as they are now.
    ///
    /// - Parameters:
    ///   - called: the time at which `save` was called.
    ///   - others: free space that earlier saves in flight still need, in bytes.
    /// - Throws: codes `provider`, `misuse` (names), `noSpace`, `io`.
    func prepare(
        _ ticket: SaveTicket, _ metrics: [String: Double], called: ContinuousClock.Instant,
        besides others: Int = 0
    ) throws(CheckpointError) -> SaveTask {
        let (described, inventory, objects) = try translating("describing the state") {
            let described = try StateInventory(unchecked: trained.provider)
            // By index: a copy of each item would take longer than all else here.
            let tensors = described.tensors
            let isDivided =
                store.meeting != nil || tensors.indices.contains { tensors[$0].shard != nil }
            let inventory =
                isDivided
                ? try described.dividedIntoPieces(of: store.meeting?.ranks.rank ?? 0) : described
            return (described, inventory, try described.objects.map { try $0.freeze() })
        }
        let fenceOrder = state.withLock { $0.epochs.beginSave() }
        let planned = try translating("describing the state") {
            try self.plan(inventory, of: described, fenceOrder: fenceOrder)
        }
        let plan = planned.plan
        try checkHolders(inventory)
        try checkOwners(inventory)
        let expectedBytes = history.neededBytes(
            planned.savedBytes, options.compression, deduplicates: reuse != nil)
        try checkSpace(expectedBytes, besides: others, step: ticket.step)
        let header = header(ticket, metrics, plan)
        let (encoder, choice) = history.encoder(options.compression, bytes: planned.savedBytes)
        let writer = SegmentWriter(
            fileSystem: store.fileSystem, directories: store.directories, store: store.id,
            attempt: ticket.id, rank: header.rank, blockCount: plan.blocks.count, pool: pool)
        let reuse = reuse.map { reuse in
            SaveReuse(reuse, likelyStored: history.likelyStored(plan, header.groups))
        }
        return SaveTask(
            .init(
                header: header, planned: planned, inventory: inventory, frozenObjects: objects,
                guarding: guarding),
            to: .init(
                writer: writer, encoder: encoder, choice: choice, reuse: reuse,
                commit: rankCommit(ticket), expectedBytes: expectedBytes),
            ticket: ticket, called: called)
    }

    /// Returns the plan of a state: the last one if the state has the same layout, or a new one,
    /// after a check of the names.
    ///
    /// - Parameters:
    ///   - inventory: what is saved.
    ///   - described: the same as it was described, each tensor once.
    ///   - fenceOrder: groups in the order in which they will be mutated.
    /// - Throws: `StateError` for names that are empty, too long, or not unique; code `misuse` for
    ///   shards that cannot be saved.
    private func plan(
        _ inventory: StateInventory, of described: StateInventory, fenceOrder: [String]
    ) throws -> PlannedState {
        if let last = lastPlanned.withLock({ $0 }), last.fits(inventory, fenceOrder: fenceOrder) {
            return last
        }
        try described.checkNames()
        try checkShards(inventory)
        let new = PlannedState(
            inventory, of: store.meeting?.ranks.rank, fenceOrder: fenceOrder, options)
        lastPlanned.withLock { $0 = new }
        return new
    }

    /// Refuses shards that no reader would accept. Several ranks check at the commit that together
    /// they hold every element.
    private func checkShards(_ inventory: StateInventory) throws(CheckpointError) {
        let isAlone = store.meeting == nil
        guard let (name, fault) = inventory.shardFault(isComplete: isAlone) else { return }
        switch fault {
        case .hole:
            throw CheckpointError(
                .misuse,
                "this process holds only a part of tensor \(name), and saves alone",
                remedy: "Give CheckpointStore.open the ranks, or declare all shards of the tensor",
                names: [name])
        case .impossible(let text):
            throw CheckpointError(
                .misuse, "tensor \(name) cannot be saved in these shards: \(text)",
                remedy: "Divide the tensor in another way", names: [name])
        }
    }

    /// Returns the commit of a save by several ranks; nil if this process saves alone.
    func rankCommit(_ ticket: SaveTicket) -> RankCommit? {
        guard let meeting = store.meeting else { return nil }
        let name = ManifestName(run: state.withLock { $0.restart }, step: ticket.step)
        return RankCommit(
            CommitProtocol(
                fileSystem: store.fileSystem, directories: store.directories,
                catalog: store.catalog),
            attempt: AttemptName(checkpoint: name, attempt: ticket.id), ranks: meeting.ranks,
            meeting.messages)
    }

    private func header(
        _ ticket: SaveTicket, _ metrics: [String: Double], _ plan: CapturePlan
    ) -> Manifest {
        state.withLock { state in
            var header = Manifest(
                id: ticket.id, store: store.id, run: state.restart, runName: runName,
                step: ticket.step, created: Clock.milliseconds, writer: LibraryVersion.writer)
            if let ranks = store.meeting?.ranks {
                (header.kind, header.worldSize, header.rank) = (.part, ranks.worldSize, ranks.rank)
            }
            header.parent = state.parent
            header.recordedOrigin = state.place
            header.transferCheck = store.fileSystem.transferCheck
            state.note(groups: plan.groups)
            header.groups = plan.groups.map {
                Manifest.Group(name: $0, epoch: state.epochs.epoch(of: $0))
            }
            header.metrics = metrics.sorted { $0.key < $1.key }.map {
                Manifest.Metric(name: $0.key, value: $0.value)
            }
            return header
        }
    }

    /// Refuses a state whose declaration names ranks that do not save with this one.
    private func checkHolders(_ inventory: StateInventory) throws(CheckpointError) {
        // A process that saves alone saves what others hold too.
        guard let worldSize = store.meeting?.ranks.worldSize else { return }
        for item in inventory.tensors {
            guard let last = item.holders.last, last >= worldSize else { continue }
            throw CheckpointError(
                .misuse,
                "tensor \(item.name) is declared to be on rank \(last) too, and \(worldSize)"
                    + " processes save together",
                remedy: "Declare the mesh of the processes that save", names: [item.name])
        }
    }

    /// Refuses objects that are declared to belong to another rank than the one that saves them.
    private func checkOwners(_ inventory: StateInventory) throws(CheckpointError) {
        guard let ranks = store.meeting?.ranks else { return }
        for item in inventory.objects {
            guard let owner = item.ownership,
                owner.rank != ranks.rank || owner.worldSize != ranks.worldSize
            else { continue }
            throw CheckpointError(
                .misuse,
                "object \(item.name) is declared for rank \(owner.rank) of \(owner.worldSize), and"
                    + " this process is rank \(ranks.rank) of \(ranks.worldSize)",
                remedy: "Declare the rank and the mesh of the processes that save",
                names: [item.name])
        }
    }

    /// Refuses a save that cannot fit, before it costs anything.
    private func checkSpace(
        _ expected: Int, besides others: Int, step: Int
    ) throws(CheckpointError) {
        let needed = max(expected - options.storedBytes, 0) + others
        let root = store.directories.root
        let available = try translating("free space") {
            try store.fileSystem.availableBytes(at: root)
        }
        guard available >= needed - (pool?.bytes ?? 0) else {
            throw CheckpointError(
                .noSpace,
                "not enough space for step \(step): \(SizeText.of(needed)) needed, \(SizeText.of(available)) free on \(root)",
                remedy: "Free space, or run ckpt prune", path: root.string)
        }
    }
}
