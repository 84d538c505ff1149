public import CheckpointStorage
public import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import Foundation
internal import SystemPackage

/// Result of a prune. Sizes in bytes.
public struct PruneReport: Sendable {
    /// Result for one checkpoint.
    public struct Checkpoint: Sendable {
        /// The checkpoint's id.
        public var id: CheckpointID
        /// The checkpoint's run.
        public var run: RunID
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
            throw CheckpointError(.misuse, "the store is not open for maintaining", remedy: "Open it with access .maintaining")
        }
        if let mistake = policy.mistake { throw CheckpointError(.misuse, mistake) }
        guard !policy.isEmpty else { throw CheckpointError(.misuse, "nothing was said of what to keep") }
        var prune = Prune(store: self)
        try prune.read(progress)
        let plan = try prune.plan(policy, runs)
        guard !isDryRun, let maintenance else { return prune.report(plan, inUse: [], prune.orphans(of: plan.removed)) }
        return try prune.run(plan, maintenance)
    }
}

/// One prune in progress.
private struct Prune {
    let store: CheckpointStore
    /// Checkpoints in order of name.
    private var items: [RetentionItem] = []
    private var ids: [ManifestName: CheckpointID] = [:]
    private var segments: [ManifestName: [SegmentReference]] = [:]

    init(store: CheckpointStore) { self.store = store }

    /// Reads all manifests and marks. Decisions use manifests only: the catalog is an index that
    /// may be wrong.
    mutating func read(_ progress: (Int, Int) -> Void) throws(CheckpointError) {
        let marks = try store.marks()
        if let error = marks.unreadable.first { throw error }
        let tags = marks.tagsByName()
        let names = try store.files.names()
        for (index, name) in names.enumerated() {
            progress(index, names.count)
            let manifest = try load(name)
            var item = RetentionItem(name: name, created: manifest.created)
            for metric in manifest.metrics { item.metrics[metric.name] = metric.value }
            (item.tags, item.isPinned) = (tags[name] ?? [], marks.pins.contains(name))
            items.append(item)
        }
    }

    /// Loads a manifest, and records its id and segments.
    @discardableResult
    private mutating func load(_ name: ManifestName) throws(CheckpointError) -> Manifest {
        let manifest = try store.files.load(name).manifest
        (ids[name], segments[name]) = (manifest.id, manifest.segments)
        return manifest
    }

    func plan(_ policy: RetentionPolicy, _ runs: Set<RunID>?) throws(CheckpointError) -> RetentionPlan {
        let plan = RetentionPlan(items.filter { runs?.contains($0.name.run) ?? true }, policy, now: Clock.milliseconds)
        guard let bare = plan.bareRuns(policy).first else { return plan }
        throw CheckpointError(
            .misuse, "these rules keep nothing of run \(bare) but its newest checkpoint", remedy: "If that is meant, add --keep-last 1")
    }

    /// Returns the segments that only these checkpoints name.
    func orphans(of names: [ManifestName]) -> [SegmentReference] {
        let gone = Set(names)
        var rest: Set<SegmentName> = []
        for (name, references) in segments where !gone.contains(name) { rest.formUnion(references.map(\.name)) }
        var seen: Set<SegmentName> = []
        return names.flatMap { segments[$0] ?? [] }.filter { !rest.contains($0.name) && seen.insert($0.name).inserted }
    }

    /// Removes checkpoints and orphan segments: steps P1 to P6. The maintenance lock is held.
    mutating func run(_ plan: RetentionPlan, _ maintenance: MaintenanceLock) throws(CheckpointError) -> PruneReport {
        guard !plan.removed.isEmpty else { return report(plan, inUse: [], []) }
        var gone: [ManifestName] = []
        try translating("pruning") {
            try maintenance.changeGeneration()  // P1
            for name in plan.removed where try unpublish(name) { gone.append(name) }
            try store.fileSystem.syncDirectory(store.directories.manifests)  // P3
        }
        store.catalog.remove(gone)  // P4
        try addNew()
        let orphans = orphans(of: gone)
        try translating("pruning") {
            for segment in orphans { try store.fileSystem.removeIfThere(store.directories.path(of: segment.name)) }  // P6
        }
        return report(plan, inUse: Set(plan.removed).subtracting(gone), orphans)
    }

    /// P2: removes a manifest's name under an exclusive `flock()` on the manifest. A reader holds
    /// the shared lock only briefly, so the call tries 5 times; a save in flight holds it until it
    /// ends.
    ///
    /// - Returns: false if the lock cannot be had: the checkpoint stays.
    private func unpublish(_ name: ManifestName) throws(FileSystemError) -> Bool {
        let path = store.directories.path(of: name)
        for attempt in 0..<5 {
            if attempt > 0 { Thread.sleep(forTimeInterval: 0.002) }
            guard let claim = try store.fileSystem.reopen(path) else { continue }
            defer { claim.close() }
            try store.fileSystem.remove(path)
            return true
        }
        return false
    }

    /// P5: reads manifests that were published since. A save that reused blocks of a removed
    /// checkpoint has ended before P2: its manifest is published now, and names the segments that
    /// it reuses.
    private mutating func addNew() throws(CheckpointError) {
        for name in try store.files.names() where segments[name] == nil { try load(name) }
    }

    func report(_ plan: RetentionPlan, inUse: Set<ManifestName>, _ orphans: [SegmentReference]) -> PruneReport {
        var report = PruneReport()
        for (item, reasons) in zip(plan.items, plan.reasons).reversed() {
            guard let id = ids[item.name] else { continue }
            report.checkpoints.append(
                .init(
                    id: id, run: item.name.run, step: item.name.step, reasons: reasons.map(\.description),
                    isInUse: inUse.contains(item.name)))
        }
        (report.segmentCount, report.freedBytes) = (orphans.count, orphans.reduce(0) { $0 + $1.fileBytes })
        return report
    }
}
