public import CheckpointStorage
public import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import Foundation
internal import SystemPackage

/// What was removed and what stays. Sizes in bytes.
public struct PruneReport: Sendable {
    /// One checkpoint.
    public struct Checkpoint: Sendable {
        /// Its id.
        public var id: CheckpointID
        /// The run it belongs to.
        public var run: RunID
        /// Its step.
        public var step: Int
        /// Why it stays; empty if it goes.
        public var reasons: [String]
        /// It was to go, but somebody counts on it now.
        public var isInUse = false

        /// Whether it goes, or has gone.
        public var isRemoved: Bool { reasons.isEmpty && !isInUse }
    }

    /// All that were looked at, newest first.
    public var checkpoints: [Checkpoint] = []
    /// Size of the segment files that nobody names any more.
    public var freedBytes = 0
    /// Number of those files.
    public var segmentCount = 0

    /// How many go.
    public var removedCount: Int { checkpoints.count { $0.isRemoved } }
}

extension CheckpointStore {
    /// Removes the checkpoints that a policy does not keep, beside a writer and readers in other processes (Formats/durability.md,
    /// Pruning).
    ///
    /// The newest of each run, what has a tag, what is pinned, and what a save in flight counts on stays, whatever the policy.
    /// Segments stay as long as any checkpoint needs a block in them, be it as the base of a delta.
    /// - Parameters:
    ///   - runs: whose checkpoints are looked at; nil is all.
    ///   - isDryRun: decides, and changes nothing; the store may be open for reading then.
    ///   - progress: called with how many manifests have been read and how many there are.
    /// - Throws: codes `misuse` (the store is not open for maintaining; no policy, or one with a number that keeps nothing; a policy that
    ///   would leave nothing but the newest of a run), `damaged` (every manifest and tag must be readable, since it may name any segment),
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

/// One pruning.
private struct Prune {
    let store: CheckpointStore
    /// In order of name.
    private var items: [RetentionItem] = []
    private var ids: [ManifestName: CheckpointID] = [:]
    private var segments: [ManifestName: [SegmentReference]] = [:]

    init(store: CheckpointStore) { self.store = store }

    /// Everything is decided by manifests alone: the catalog is an index that may be wrong.
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

    /// Notes what a manifest names.
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

    /// Segments that only these checkpoints name.
    func orphans(of names: [ManifestName]) -> [SegmentReference] {
        let gone = Set(names)
        var rest: Set<SegmentName> = []
        for (name, references) in segments where !gone.contains(name) { rest.formUnion(references.map(\.name)) }
        var seen: Set<SegmentName> = []
        return names.flatMap { segments[$0] ?? [] }.filter { !rest.contains($0.name) && seen.insert($0.name).inserted }
    }

    /// Steps P1 to P6.
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

    /// P2. A reader has a manifest locked for a moment only; a save in flight, until it ends.
    /// - Returns: false if somebody counts on the checkpoint.
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

    /// P5. A save that counted on a checkpoint has ended before that was unpublished: its manifest is there now, and names what it reused.
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
