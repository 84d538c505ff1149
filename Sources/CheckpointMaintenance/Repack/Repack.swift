public import CheckpointStorage
public import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import SystemPackage

/// How history is repacked.
public struct RepackOptions: Sendable {
    /// How many blocks at most have to be read before one can be decoded: 1 to 8. Longer chains are smaller and slower to restore.
    public var chainMax = 8
    /// Threads that encode.
    public var threads = 2
    /// Encodes and tells what would be saved, and writes nothing.
    public var isDryRun = false
    /// Repacks only checkpoints of this run.
    public var run: RunID?

    /// The defaults.
    public init() {}
}

/// What was repacked. Sizes in bytes.
public struct RepackReport: Sendable {
    /// One checkpoint.
    public struct Checkpoint: Sendable {
        /// The run it belongs to.
        public var run: RunID
        /// Its step.
        public var step: Int
        /// Blocks that were encoded anew or found in the newer checkpoint.
        public var blockCount = 0
        /// Those of them that are deltas now.
        public var deltaCount = 0
        /// What those blocks took before.
        public var bytesBefore = 0
        /// What they take now.
        public var bytesAfter = 0
        /// Why it stays as it is, if it does.
        public var skipped: String?

        init(_ manifest: Manifest) { (run, step) = (manifest.run, manifest.step) }
        init(_ name: ManifestName, skipped: String) { (run, step, self.skipped) = (name.run, name.step, skipped) }
    }

    /// In the order in which they were repacked: the newest first.
    public var checkpoints: [Checkpoint] = []

    /// What all of it has saved, or would save.
    public var bytesSaved: Int { checkpoints.filter { $0.skipped == nil }.reduce(0) { $0 + $1.bytesBefore - $1.bytesAfter } }
}

extension CheckpointStore {
    /// Makes history smaller: encodes what only older checkpoints need anew, as deltas of the next newer checkpoint or by the strongest
    /// codec.
    ///
    /// The newest checkpoint of each run stays as it is. Every checkpoint is restorable at every moment, whatever happens; what a killed
    /// run has done stays done, and another goes on from there.
    /// - Parameter progress: called before each checkpoint with how many are done and how many there are.
    /// - Throws: codes `misuse` (the store is not open for maintaining), `io`, `noSpace`, `damaged` (every manifest must be readable).
    public func repack(
        _ options: RepackOptions = .init(), progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(CheckpointError) -> RepackReport {
        guard options.isDryRun || maintenance != nil else {
            throw CheckpointError(.misuse, "the store is not open for maintaining", remedy: "Open it with access .maintaining")
        }
        guard (1...Limits.deltaChainMax).contains(options.chainMax), (1...64).contains(options.threads) else {
            throw CheckpointError(.misuse, "a chain of \(options.chainMax) or \(options.threads) threads is out of range")
        }
        if !options.isDryRun, let maintenance { try translating("maintenance") { try maintenance.changeGeneration() } }
        var repack = Repack(store: self, options: options)
        return try repack.run(progress)
    }
}

/// One run over all checkpoints, the newest first, so that each finds the newer one as it will stay.
private struct Repack {
    let store: CheckpointStore
    let options: RepackOptions
    private var uses = BlockUses()
    private var known: Set<ManifestName> = []
    /// Segments that no manifest named any more when the last one that did was replaced.
    private var orphans: [SegmentName] = []
    /// Checkpoints after which they are removed, together: before that all manifests are listed.
    private static let batch = 32

    init(store: CheckpointStore, options: RepackOptions) {
        self.store = store
        self.options = options
    }

    mutating func run(_ progress: (Int, Int) -> Void) throws(CheckpointError) -> RepackReport {
        let names = try store.files.names()
        try add(names)
        let plan = RepackPlan(names, of: options.run)
        var report = RepackReport()
        for (index, step) in plan.steps.enumerated() {
            progress(index, plan.steps.count)
            report.checkpoints.append(try repack(step))
            if (index + 1) % Self.batch == 0 { try removeOrphans() }
        }
        try removeOrphans()
        progress(plan.steps.count, plan.steps.count)
        return report
    }

    private mutating func add(_ names: [ManifestName]) throws(CheckpointError) {
        for name in names where known.insert(name).inserted { uses.add(try store.files.loadTables(name)) }
    }

    private mutating func repack(_ step: RepackPlan.Step) throws(CheckpointError) -> RepackReport.Checkpoint {
        let older: ManifestFiles.Loaded
        let newer: Manifest
        do throws(CheckpointError) {
            older = try store.files.load(step.checkpoint)
            newer = try store.files.load(step.newer).manifest
        } catch {
            // The writer has removed one of the two since they were listed.
            guard error.code == .notFound else { throw error }
            return RepackReport.Checkpoint(step.checkpoint, skipped: "it, or the next newer one, has been removed meanwhile")
        }
        let repacker = CheckpointRepacker(store: store, older: older, newer: newer, options: options)
        var (changed, report) = try repacker.run(uses)
        if let changed {
            uses.add(Manifest.Tables(changed, hash: older.hash))
            orphans += uses.remove(Manifest.Tables(older.manifest, hash: older.hash))
        } else if !options.isDryRun {
            report.skipped = report.bytesBefore == 0 ? "nothing in it is its alone" : "it would not become smaller, or it is in use"
        }
        return report
    }

    /// Removes segments that nobody names any more. What stays is removed by the writer's next recovery.
    private mutating func removeOrphans() throws(CheckpointError) {
        guard !orphans.isEmpty else { return }
        // A save that counted on an old manifest has ended before that was replaced: its own is there now, and names what it reused.
        try add(try store.files.names())
        for segment in orphans where !uses.names(segment) {
            try? store.fileSystem.remove(store.directories.path(of: segment))  // as said above
        }
        orphans = []
    }
}
