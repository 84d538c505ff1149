public import CheckpointStorage
public import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments

/// What was copied. Sizes in bytes.
public struct CopyReport: Sendable {
    /// One checkpoint.
    public struct Checkpoint: Sendable {
        /// What became of it.
        public enum Outcome: String, Sendable {
            /// It is in the destination now, or would be.
            case copied
            /// It was there already.
            case present
            /// It was removed by its owner before it could be copied.
            case gone
            /// It is damaged.
            case failed
        }

        /// Its id; nil if it could not be read.
        public var id: CheckpointID?
        /// The run it belongs to.
        public var run: RunID
        /// Its step.
        public var step: Int
        /// What became of it.
        public var outcome: Outcome
        /// Its tensors and objects.
        public var logicalBytes = 0
        /// Stored bytes of blocks written for it; in a dry run at most so many.
        public var newBytes = 0
        /// Blocks that were deltas of what was not copied, and so were encoded by themselves.
        public var reencodedCount = 0
        /// Why it failed.
        public var error: CheckpointError?
    }

    /// In the order in which they were copied: the newest first.
    public var checkpoints: [Checkpoint] = []
    /// Tags that were copied.
    public var tags: [TagName] = []
    /// Tags that another checkpoint of the destination has, and keeps.
    public var takenTags: [TagName] = []
    /// Tags of the source that cannot be read, and so are not copied.
    public var unreadableTags: [CheckpointError] = []
    /// Checkpoints that are pinned in the destination now, as they are in the source.
    public var pinCount = 0
    /// Written for all of them.
    public var newBytes: Int { checkpoints.reduce(0) { $0 + $1.newBytes } }
}

extension CheckpointStore {
    /// Copies checkpoints, with their ids, runs, parents, metrics, tags and pins, to another store; what that holds already, as a whole
    /// checkpoint or chunk by chunk, is not copied again. Every chunk is compared with the hash taken at capture on its way.
    ///
    /// Each checkpoint is committed as a save would be, the newest first: after a kill, whole ones are there, and another run goes on
    /// from there.
    /// - Parameters:
    ///   - references: which; none is all. Of `latest` the newest whose manifest is whole.
    ///   - destination: open for writing; nil, in a dry run, for one that does not exist yet.
    ///   - isDryRun: decides, and writes nothing.
    ///   - progress: called before each checkpoint with how many are done and how many there are.
    /// - Throws: codes `notFound`, `exists` (the destination has another checkpoint of the same run and step), `busy`, `noSpace`, `io`,
    ///   `misuse`.
    public func copy(
        _ references: [CheckpointReference] = [], to destination: CheckpointStore?, isDryRun: Bool = false,
        progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(CheckpointError) -> CopyReport {
        guard isDryRun || destination?.access == .writing else {
            throw CheckpointError(.misuse, "the destination is not open for writing", remedy: "Open it with access .writing")
        }
        var copy = StoreCopy(source: self, destination: destination, isDryRun: isDryRun)
        return try copy.run(references, progress)
    }
}

/// One copying.
private struct StoreCopy {
    let source: CheckpointStore
    let destination: CheckpointStore?
    let isDryRun: Bool
    private var copied = CopiedBlocks()
    /// Names in the destination.
    private var names: Set<ManifestName> = []
    private var attempts: Set<CheckpointID> = []
    private var report = CopyReport()
    private var maintenance: MaintenanceLock?
    private var isTold = false

    init(source: CheckpointStore, destination: CheckpointStore?, isDryRun: Bool) {
        (self.source, self.destination, self.isDryRun) = (source, destination, isDryRun)
    }

    mutating func run(
        _ references: [CheckpointReference], _ progress: (Int, Int) -> Void
    ) throws(CheckpointError) -> CopyReport {
        let wanted = try wanted(references)
        // While it is held nobody removes from the destination what is counted on.
        maintenance = try isDryRun ? nil : takeMaintenance()
        defer { maintenance = nil }
        // What such a tag protects, nobody knows: it must not be written over by one of the same name.
        if let error = try destination?.marks().unreadable.first { throw error }
        try readDestination()
        for (index, name) in wanted.enumerated() {
            progress(index, wanted.count)
            report.checkpoints.append(try copy(name))
        }
        try copyMarks()
        return report
    }

    /// Newest first: so deltas find what they are deltas of.
    private func wanted(_ references: [CheckpointReference]) throws(CheckpointError) -> [ManifestName] {
        guard !references.isEmpty else { return try source.files.names().reversed() }
        var names: Set<ManifestName> = []
        for reference in references { names.insert(try source.load(reference).manifest.name) }
        return names.sorted(by: >)
    }

    private func takeMaintenance() throws(CheckpointError) -> MaintenanceLock? {
        guard let destination else { return nil }
        if let own = try translating("maintenance", { try MaintenanceLock(destination.fileSystem, destination.directories) }) { return own }
        throw CheckpointError(
            .busy, "another process is removing or repacking checkpoints of \(destination.directories.root)", remedy: "Wait for it")
    }

    private mutating func readDestination() throws(CheckpointError) {
        guard let destination else { return }
        names = Set(try destination.files.names())
        let segments = try translating("listing") { try destination.fileSystem.list(destination.directories.segments) }
        attempts = Set(segments.compactMap { SegmentName($0)?.attempt })
        // One that cannot be read holds nothing that can be counted on.
        for name in names { if let tables = try? destination.files.loadTables(name) { copied.add(tables) } }
    }

    private mutating func copy(_ name: ManifestName) throws(CheckpointError) -> CopyReport.Checkpoint {
        var row = CopyReport.Checkpoint(run: name.run, step: name.step, outcome: .copied)
        do throws(CheckpointError) {
            try source.files.reading(name) { manifest throws(CheckpointError) in
                (row.id, row.logicalBytes) = (manifest.id, manifest.logicalBytes)
                if names.contains(name) {
                    try compare(manifest)
                    row.outcome = .present
                } else {
                    try copy(manifest, &row)
                }
            }
        } catch {
            guard error.code == .damaged || error.code == .notFound else { throw error }
            let isGone = try !source.files.names().contains(name)
            (row.outcome, row.error) = (isGone ? .gone : .failed, isGone ? nil : error)
        }
        return row
    }

    private mutating func compare(_ manifest: Manifest) throws(CheckpointError) {
        guard let destination else { return }
        let other = try destination.files.load(manifest.name).manifest
        guard other.id == manifest.id else {
            throw CheckpointError(
                .exists,
                "\(destination.directories.root) has another checkpoint of step \(manifest.step) of run \(manifest.run): \(other.id)",
                remedy: "Copy to another store")
        }
        copied.add(manifest, as: other)
    }

    private mutating func copy(_ manifest: Manifest, _ row: inout CopyReport.Checkpoint) throws(CheckpointError) {
        // A checkpointer of this process has to read what it did not write.
        if let maintenance, !isTold { try translating("maintenance") { try maintenance.changeGeneration() } }
        isTold = true
        // Its segments bear the checkpoint's id, as those of a save do, unless some of an earlier copy are still in use.
        let attempt = attempts.contains(manifest.id) ? CheckpointID.random() : manifest.id
        var copier = CheckpointCopier(manifest, from: source, to: destination, attempt: attempt, isDryRun: isDryRun)
        let made = try copier.run(copied)
        (row.newBytes, row.reencodedCount) = (copier.newBytes, copier.reencodedCount)
        names.insert(manifest.name)
        copied.add(manifest, as: made)
    }

    private mutating func copyMarks() throws(CheckpointError) {
        let copied = report.checkpoints.filter { $0.outcome == .copied || $0.outcome == .present }
        let there = Set(copied.map { ManifestName(run: $0.run, step: $0.step) })
        let (wanted, own) = (try source.marks(), try destination?.marks() ?? Marks())
        report.unreadableTags = wanted.unreadable
        let files = isDryRun ? nil : destination.map { MarkFiles($0.files) }
        for (tag, mark) in wanted.tags.sorted(by: { $0.key < $1.key }) where there.contains(mark.name) && own.tags[tag] != mark {
            guard own.tags[tag] == nil else {
                report.takenTags.append(tag)
                continue
            }
            try files?.set(tag, mark)
            report.tags.append(tag)
        }
        let ids = Dictionary(uniqueKeysWithValues: report.checkpoints.map { (ManifestName(run: $0.run, step: $0.step), $0.id) })
        for pin in wanted.pins.subtracting(own.pins).intersection(there).sorted() {
            guard let id = ids[pin] ?? nil else { continue }
            try files?.pin(Mark(name: pin, id: id))
            report.pinCount += 1
        }
    }
}
