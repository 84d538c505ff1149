internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
public import CheckpointStorage

extension CheckpointStore {
    /// Copies checkpoints to another store, with their ids, runs, parents, metrics, tags and pins.
    ///
    /// Checkpoints and chunks that the destination already has are not copied again. Every chunk
    /// that is written is compared with the hash taken at capture first.
    ///
    /// Each checkpoint is committed as a save would be, the newest first (Formats/durability.md,
    /// Copying). After a kill, the committed ones are complete, and another run continues from
    /// there. The call holds the destination's maintenance lock until it returns.
    ///
    /// - Parameters:
    ///   - references: the checkpoints to copy; empty means all. For `latest`, the newest
    ///     checkpoint whose manifest is intact.
    ///   - destination: a store that is open for writing; in a dry run, nil for a store that does
    ///     not exist yet.
    ///   - isDryRun: decides what to copy, and writes nothing.
    ///   - cancellation: stops the copy; checkpoints that are complete stay.
    ///   - progress: called as the copy advances with the bytes of the checkpoints that are done,
    ///     and of all, before encoding. On this thread.
    /// - Returns: the outcome for each checkpoint. A damaged checkpoint is an outcome, not an
    ///   error.
    /// - Throws: codes `notFound`, `exists` (the destination has another checkpoint of the same run
    ///   and step), `busy` (another process removes or repacks in the destination), `damaged` (a
    ///   tag of the destination cannot be read), `noSpace`, `io`, `misuse`, `cancelled`.
    public func copy(
        _ references: [CheckpointReference] = [], to destination: CheckpointStore?,
        isDryRun: Bool = false,
        cancellation: Cancellation = Cancellation(),
        progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(CheckpointError) -> CopyReport {
        guard isDryRun || destination?.access == .writing else {
            throw CheckpointError(
                .misuse, "the destination is not open for writing",
                remedy: "Open it with access .writing")
        }
        var copy = StoreCopy(
            source: self, destination: destination, isDryRun: isDryRun, cancellation: cancellation)
        return try copy.run(references, progress)
    }
}

/// One copy of several checkpoints.
private struct StoreCopy {
    let source: CheckpointStore
    let destination: CheckpointStore?
    let isDryRun: Bool
    let cancellation: Cancellation
    private var copied = CopiedBlocks()
    /// Names of the manifests in the destination.
    private var names: Set<ManifestName> = []
    private var attempts: Set<CheckpointID> = []
    private var report = CopyReport()
    private var maintenance: MaintenanceLock?
    private var isTold = false

    init(
        source: CheckpointStore, destination: CheckpointStore?, isDryRun: Bool,
        cancellation: Cancellation
    ) {
        (self.source, self.destination, self.isDryRun) = (source, destination, isDryRun)
        self.cancellation = cancellation
    }

    mutating func run(
        _ references: [CheckpointReference], _ progress: (Int, Int) -> Void
    ) throws(CheckpointError) -> CopyReport {
        let wanted = try wanted(references)
        // While it is held, no process removes blocks of the destination that the copy refers to.
        maintenance = try isDryRun ? nil : takeMaintenance()
        defer { maintenance = nil }
        // It is unknown which checkpoint such a tag protects, so it must not be overwritten by a
        // tag of the same name.
        if let error = try destination?.marks().unreadable.first { throw error }
        try readDestination()
        let sizes = try source.summaries(of: wanted).map { summary in
            (try? summary.get())?.logicalBytes ?? 0  // reported when it is copied
        }
        let total = sizes.reduce(0, +)
        var done = 0
        for (name, size) in zip(wanted, sizes) {
            progress(done, total)
            let row = try copy(name) { progress(done + Int($0 * Double(size)), total) }
            report.checkpoints.append(row)
            done += size
        }
        progress(done, total)
        try copyMarks()
        return report
    }

    /// Returns the checkpoints to copy, newest first, so that the bases of deltas are copied before
    /// the deltas.
    private func wanted(_ references: [CheckpointReference]) throws(CheckpointError)
        -> [ManifestName]
    {
        guard !references.isEmpty else { return try source.files.names().reversed() }
        var names: Set<ManifestName> = []
        for reference in references { names.insert(try source.load(reference).manifest.name) }
        return names.sorted(by: >)
    }

    private func takeMaintenance() throws(CheckpointError) -> MaintenanceLock? {
        guard let destination else { return nil }
        if let own = try translating(
            "maintenance", { try MaintenanceLock(destination.fileSystem, destination.directories) })
        {
            return own
        }
        throw CheckpointError(
            .busy,
            "another process is removing or repacking checkpoints of \(destination.directories.root)",
            remedy: "Wait until it has finished")
    }

    private mutating func readDestination() throws(CheckpointError) {
        guard let destination else { return }
        names = Set(try destination.files.names())
        let segments = try translating("listing") {
            try destination.fileSystem.list(destination.directories.segments)
        }
        attempts = Set(segments.compactMap { SegmentName($0)?.attempt })
        for name in names {
            // A manifest that cannot be read cannot provide blocks.
            if let tables = try? destination.files.loadTables(name) { copied.add(tables) }
        }
    }

    /// Copies a checkpoint.
    ///
    /// - Parameter progress: called with the part that is done, from 0 to 1.
    private mutating func copy(
        _ name: ManifestName, _ progress: (Double) -> Void
    ) throws(CheckpointError) -> CopyReport.Checkpoint {
        var row = CopyReport.Checkpoint(run: name.run, step: name.step, outcome: .copied)
        do throws(CheckpointError) {
            try source.files.reading(name) { manifest throws(CheckpointError) in
                (row.id, row.runName) = (manifest.id, manifest.runName)
                row.logicalBytes = manifest.logicalBytes
                if names.contains(name) {
                    try compare(manifest)
                    row.outcome = .present
                } else {
                    try copy(manifest, &row, progress)
                }
            }
        } catch {
            guard error.code.meansDamage else { throw error }
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
                "\(destination.directories.root) already has another checkpoint of step \(manifest.step) "
                    + "of run \(manifest.run): \(other.id)",
                remedy: "Copy to another store")
        }
        copied.add(manifest, as: other)
    }

    private mutating func copy(
        _ manifest: Manifest, _ row: inout CopyReport.Checkpoint, _ progress: (Double) -> Void
    ) throws(CheckpointError) {
        // A checkpointer of this process has to read manifests that it did not write.
        if let maintenance, !isTold {
            try translating("maintenance") { try maintenance.changeGeneration() }
        }
        isTold = true
        // Segment names contain the checkpoint's id, as those of a save do, unless segments of an
        // earlier copy with that id are still in use.
        let attempt = attempts.contains(manifest.id) ? CheckpointID.random() : manifest.id
        var copier = CheckpointCopier(
            manifest, from: source, to: destination, attempt: attempt, isDryRun: isDryRun,
            cancellation: cancellation)
        let made = try copier.run(copied, progress)
        (row.newBytes, row.readCount) = (copier.newBytes, copier.readCount)
        row.reencodedCount = copier.reencodedCount
        names.insert(manifest.name)
        copied.add(manifest, as: made)
    }

    private mutating func copyMarks() throws(CheckpointError) {
        let copied = report.checkpoints.filter { $0.outcome == .copied || $0.outcome == .present }
        let there = Set(copied.map { ManifestName(run: $0.run, step: $0.step) })
        let (wanted, own) = (try source.marks(), try destination?.marks() ?? Marks())
        report.unreadableTags = wanted.unreadable
        let files = isDryRun ? nil : destination.map { MarkFiles($0.files) }
        for (tag, mark) in wanted.tags.sorted(by: { $0.key < $1.key })
        where there.contains(mark.name) && own.tags[tag] != mark {
            guard own.tags[tag] == nil else {
                report.takenTags.append(tag)
                continue
            }
            try files?.set(tag, mark)
            report.tags.append(tag)
        }
        let ids = Dictionary(
            uniqueKeysWithValues: report.checkpoints.map {
                (ManifestName(run: $0.run, step: $0.step), $0.id)
            })
        for pin in wanted.pins.subtracting(own.pins).intersection(there).sorted() {
            guard let id = ids[pin] ?? nil else { continue }
            try files?.pin(Mark(name: pin, id: id))
            report.pinCount += 1
        }
    }
}
