public import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
public import CheckpointStorage
internal import SystemPackage

/// Options of a repack.
public struct RepackOptions: Sendable {
    /// Maximum number of other blocks that must be read to decode one block: 1 to 8. Longer chains
    /// are smaller and slower to restore.
    public var chainMax = 8
    /// Number of encoding threads.
    public var threads = 2
    /// Encodes and reports the savings, but writes nothing.
    public var isDryRun = false
    /// Repacks only checkpoints of this run; nil means all runs.
    public var run: RunID?
    /// Stops the repack; checkpoints that are already repacked stay repacked.
    public var cancellation = Cancellation()

    /// Creates the default options.
    public init() {}
}

/// Result of a repack. Sizes in bytes.
public struct RepackReport: Sendable {
    /// Result for one checkpoint.
    public struct Checkpoint: Sendable {
        /// The checkpoint's run.
        public var run: RunID
        /// Name of the run; empty if its manifest could not be read.
        public var runName = ""
        /// The checkpoint's step.
        public var step: Int
        /// Number of blocks that were encoded again or replaced by blocks of the newer checkpoint.
        public var blockCount = 0
        /// Number of those that are deltas now.
        public var deltaCount = 0
        /// Stored size of those blocks before.
        public var bytesBefore = 0
        /// Stored size of those blocks now.
        public var bytesAfter = 0
        /// Reason for not changing the checkpoint; nil if it was repacked.
        public var skipped: String?

        init(_ manifest: Manifest) {
            (run, runName, step) = (manifest.run, manifest.runName, manifest.step)
        }

        init(_ name: ManifestName, skipped: String) { (run, step, self.skipped) = (name.run, name.step, skipped) }
    }

    /// Checkpoints in the order in which they were repacked: newest first.
    public var checkpoints: [Checkpoint] = []

    /// Bytes saved in all checkpoints; in a dry run, bytes that would be.
    public var bytesSaved: Int { checkpoints.filter { $0.skipped == nil }.reduce(0) { $0 + $1.bytesBefore - $1.bytesAfter } }
}

extension CheckpointStore {
    /// Shrinks a store by storing older checkpoints as deltas against newer ones, or with the
    /// strongest codec.
    ///
    /// Only blocks that one checkpoint alone names are encoded again. The newest checkpoint of each
    /// run stays as it is. Every checkpoint is restorable at every moment, also after a crash
    /// (Formats/durability.md, Maintenance); a killed repack keeps its progress, and the next one
    /// continues. A writer and readers in other processes may run concurrently.
    ///
    /// - Parameters:
    ///   - options: limits, threads, dry run.
    ///   - progress: called before each checkpoint with the bytes of those that are done, and of
    ///     all, before encoding. On this thread.
    /// - Returns: the result for each checkpoint.
    /// - Throws: codes `misuse` (the store is not open for maintaining, or an option is out of
    ///   range), `io`, `noSpace`, `damaged` (every manifest must be readable), `cancelled`.
    public func repack(
        _ options: RepackOptions = .init(), progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(CheckpointError) -> RepackReport {
        guard options.isDryRun || maintenance != nil else {
            throw CheckpointError(.misuse, "the store is not open for maintaining", remedy: "Open it with access .maintaining")
        }
        guard (1...Limits.deltaChainMax).contains(options.chainMax), (1...64).contains(options.threads) else {
            throw CheckpointError(
                .misuse,
                "chainMax must be 1 to \(Limits.deltaChainMax) (got \(options.chainMax)), "
                    + "and threads 1 to 64 (got \(options.threads))")
        }
        if !options.isDryRun, let maintenance { try translating("maintenance") { try maintenance.changeGeneration() } }
        var repack = Repack(store: self, options: options)
        return try repack.run(progress)
    }
}

/// One run over all checkpoints, newest first, so that each is compared with the final form of the
/// newer one.
private struct Repack {
    let store: CheckpointStore
    let options: RepackOptions
    private var uses = BlockUses()
    private var known: Set<ManifestName> = []
    /// Segments that no known manifest named any more after the last one that did was replaced.
    private var orphans: [SegmentName] = []
    /// Number of checkpoints after which the orphan segments are removed together, since all
    /// manifests are listed before each removal.
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
        let sizes = try store.summaries(of: plan.steps.map(\.checkpoint)).map { summary in
            (try? summary.get())?.logicalBytes ?? 0  // reported when it is repacked
        }
        let total = sizes.reduce(0, +)
        var done = 0
        for (index, step) in plan.steps.enumerated() {
            progress(done, total)
            done += sizes[index]
            try options.cancellation.check("the repack of step \(step.checkpoint.step)", remedy: "Run the command again to continue")
            report.checkpoints.append(try repack(step))
            if (index + 1) % Self.batch == 0 { try removeOrphans() }
        }
        try removeOrphans()
        progress(total, total)
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
            // The writer removed one of the two since they were listed.
            guard error.code == .notFound else { throw error }
            return RepackReport.Checkpoint(
                step.checkpoint,
                skipped: "this checkpoint or the next newer one was deleted during the repack")
        }
        let repacker = CheckpointRepacker(store: store, older: older, newer: newer, options: options)
        var (changed, report) = try repacker.run(uses)
        if let changed {
            uses.add(Manifest.Tables(changed, hash: older.hash))
            orphans += uses.remove(Manifest.Tables(older.manifest, hash: older.hash))
        } else if !options.isDryRun {
            report.skipped =
                report.bytesBefore == 0
                ? "all its blocks are shared"
                : "repacking would not shrink the checkpoint, or the checkpoint is in use"
        }
        return report
    }

    /// Removes orphan segments (M6). The writer's next recovery removes those that cannot be
    /// removed now.
    private mutating func removeOrphans() throws(CheckpointError) {
        guard !orphans.isEmpty else { return }
        // A save that reused blocks of an old manifest has ended before M3: its manifest is
        // published now, and names the segments that it reuses.
        try add(try store.files.names())
        for segment in orphans where !uses.names(segment) {
            // If this fails, the writer's next recovery removes the segment.
            try? store.fileSystem.remove(store.directories.path(of: segment))
        }
        orphans = []
    }
}
