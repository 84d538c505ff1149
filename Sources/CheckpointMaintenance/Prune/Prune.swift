public import CheckpointFormat
internal import CheckpointSegments
public import CheckpointStorage

/// Result of a prune. Sizes in bytes.
public struct PruneReport: Sendable {
    /// Result for one checkpoint.
    public struct Checkpoint: Sendable {
        /// The checkpoint's id.
        public var id: CheckpointID
        /// Id of the restart that saved it.
        public var run: RunID
        /// Name of its run.
        public var runName: String
        /// The checkpoint's step.
        public var step: Int
        /// Reasons to keep it; empty if no rule does.
        public var reasons: [String]
        /// True if no rule keeps it, but it stays because a save in flight or a reader has it
        /// locked.
        public var isInUse = false

        /// True if it was removed; in a dry run, if it would be.
        public var isRemoved: Bool { reasons.isEmpty && !isInUse }
    }

    /// All checkpoints that were considered, newest first.
    public var checkpoints: [Checkpoint] = []
    /// Size of the removed segment files, which no manifest names any more.
    public var freedBytes = 0
    /// Number of those files.
    public var segmentCount = 0

    /// Number of removed checkpoints.
    public var removedCount: Int { checkpoints.count { $0.isRemoved } }
}

extension CheckpointStore {
    /// Removes the checkpoints that a policy does not keep (Formats/durability.md, Pruning).
    ///
    /// A writer and readers in other processes may run concurrently. The newest checkpoint of each
    /// run stays under every policy, and so do tagged and pinned checkpoints and those that a save
    /// in flight reuses. A segment stays as long as any checkpoint needs a block in it, also as the
    /// base of a delta.
    ///
    /// - Parameters:
    ///   - policy: the rules; at least one.
    ///   - runs: considers only checkpoints of these runs; nil means all runs.
    ///   - isDryRun: decides, and changes nothing; the store may then be open for reading.
    ///   - progress: called with the number of manifests read and the total, on this thread.
    /// - Returns: the decision for each checkpoint, and the space freed.
    /// - Throws: codes `misuse` (the store is not open for maintaining; the policy is empty or has
    ///   an invalid number; the policy would leave only the newest checkpoint of a run), `damaged`
    ///   (every manifest and tag must be readable, since it may name any segment or checkpoint),
    ///   `io`.
    public func prune(
        _ policy: RetentionPolicy, runs: Set<RunID>? = nil, isDryRun: Bool = false,
        progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(CheckpointError) -> PruneReport {
        guard isDryRun || maintenance != nil else {
            throw CheckpointError(
                .misuse, "the store is not open for maintaining",
                remedy: "Open it with access .maintaining")
        }
        if let mistake = policy.mistake { throw CheckpointError(.misuse, mistake) }
        guard !policy.isEmpty else {
            throw CheckpointError(.misuse, "the retention policy is empty", remedy: "Set at least one rule")
        }
        var prune = Prune(store: self)
        try prune.read(progress)
        let plan = try prune.plan(policy, runs)
        guard !isDryRun, let maintenance else {
            return prune.report(plan, inUse: [], prune.removal.orphans(of: plan.removed))
        }
        return try prune.run(plan, maintenance)
    }
}

/// One prune in progress.
private struct Prune {
    let store: CheckpointStore
    private(set) var removal: CheckpointRemoval
    /// Checkpoints in order of name.
    private var items: [RetentionItem] = []
    private var ids: [ManifestName: CheckpointID] = [:]
    /// Names of the runs by id of the branch.
    private var runNames: [RunID: String] = [:]

    init(store: CheckpointStore) {
        self.store = store
        removal = CheckpointRemoval(store)
    }

    /// Reads all manifests and marks. Decisions use manifests only: the catalog is an index that
    /// may be wrong.
    mutating func read(_ progress: (Int, Int) -> Void) throws(CheckpointError) {
        let marks = try store.marks()
        if let error = marks.unreadable.first { throw error }
        let tags = marks.tagsByName()
        let present = try removal.segmentFiles()
        let names = try store.files.names()
        var imports = ImportRuns()
        for (index, name) in names.enumerated() {
            progress(index, names.count)
            let manifest = try removal.load(name)
            ids[name] = manifest.id
            var item = RetentionItem(manifest)
            imports.join(&item, of: manifest)
            runNames[item.branch] =
                manifest.runName.isEmpty ? store.defaultRunName : manifest.runName
            item.isDamaged = manifest.segments.contains { !present.contains($0.name) }
            (item.tags, item.isPinned) = (tags[name] ?? [], marks.pins.contains(name))
            items.append(item)
        }
    }

    func plan(_ policy: RetentionPolicy, _ runs: Set<RunID>?) throws(CheckpointError)
        -> RetentionPlan
    {
        let plan = RetentionPlan(
            items.filter { runs?.contains($0.name.run) ?? true }, policy, now: Clock.milliseconds)
        guard let bare = plan.bareBranches(policy).first else { return plan }
        let name = runNames[bare].map { "\($0) (\(bare))" } ?? "\(bare)"
        throw CheckpointError(
            .misuse, "these rules keep only the newest checkpoint of run \(name)",
            remedy: "To confirm, add --keep-last 1")
    }

    /// Removes checkpoints and orphan segments. The maintenance lock is held.
    mutating func run(_ plan: RetentionPlan, _ maintenance: MaintenanceLock) throws(CheckpointError)
        -> PruneReport
    {
        let (gone, orphans) = try removal.run(plan.removed, maintenance)
        return report(plan, inUse: Set(plan.removed).subtracting(gone), orphans)
    }

    func report(_ plan: RetentionPlan, inUse: Set<ManifestName>, _ orphans: [SegmentReference])
        -> PruneReport
    {
        var report = PruneReport()
        for (item, reasons) in zip(plan.items, plan.reasons).reversed() {
            guard let id = ids[item.name] else { continue }
            report.checkpoints.append(
                .init(
                    id: id, run: item.name.run, runName: runNames[item.branch] ?? "",
                    step: item.name.step,
                    reasons: reasons.map(\.description), isInUse: inUse.contains(item.name)))
        }
        (report.segmentCount, report.freedBytes) = (
            orphans.count, orphans.reduce(0) { $0 + $1.fileBytes }
        )
        return report
    }
}
