internal import CheckpointFormat
public import CheckpointStorage

extension CheckpointStore {
    /// Removes the checkpoints that are named, whatever the rules of retention.
    ///
    /// A writer and readers in other processes may run concurrently. Nothing is removed if one of
    /// the checkpoints is protected: pinned, tagged, or the newest intact one of its run. Bytes that
    /// other checkpoints share stay.
    ///
    /// - Parameters:
    ///   - references: the checkpoints.
    ///   - isForced: removes protected checkpoints too, with their pins and tags.
    ///   - isDryRun: decides, and changes nothing; the store may then be open for reading.
    /// - Returns: the outcome for each checkpoint, and the space freed. A checkpoint that a save in
    ///   flight uses stays in any case.
    /// - Throws: codes `misuse` (the store is not open for maintaining; a checkpoint is protected:
    ///   all of them are listed), `notFound`, `damaged` (a tag cannot be read), `io`.
    public func remove(
        _ references: [CheckpointReference], isForced: Bool = false, isDryRun: Bool = false
    ) throws(CheckpointError) -> RemoveReport {
        guard isDryRun || maintenance != nil else {
            throw CheckpointError(
                .misuse, "the store is not open for maintaining",
                remedy: "Open it with access .maintaining")
        }
        var removal = NamedRemoval(self)
        try removal.choose(references)
        if !isForced { try removal.requireUnprotected() }
        guard !isDryRun, let maintenance else { return removal.report(inUse: [], removal.orphans) }
        return try removal.run(maintenance)
    }
}

/// The removal of named checkpoints, in progress.
private struct NamedRemoval {
    private let store: CheckpointStore
    private var removal: CheckpointRemoval
    private var marks = Marks()
    /// All readable checkpoints in order of name.
    private var items: [RetentionItem] = []
    private var about: [ManifestName: (id: CheckpointID, runName: String)] = [:]
    /// The checkpoints to remove, without repetition, in the order of the references.
    private var chosen: [ManifestName] = []
    private var hasUnreadable = false

    init(_ store: CheckpointStore) {
        self.store = store
        removal = CheckpointRemoval(store)
    }

    /// Resolves the references, all against the same state of the store.
    mutating func choose(_ references: [CheckpointReference]) throws(CheckpointError) {
        marks = try store.marks()
        if let error = marks.unreadable.first { throw error }
        for reference in references {
            guard let name = try store.candidates(reference).first else {
                throw try store.missing(reference, [])
            }
            if !chosen.contains(name) { chosen.append(name) }
        }
        let present = try removal.segmentFiles()
        var imports = ImportRuns()
        for name in try store.files.names() {
            do throws(CheckpointError) {
                let manifest = try removal.load(name)
                var item = RetentionItem(manifest)
                imports.join(&item, of: manifest)
                item.isDamaged = manifest.segments.contains { !present.contains($0.name) }
                items.append(item)
                about[name] = (
                    manifest.id, manifest.runName.isEmpty ? store.defaultRunName : manifest.runName
                )
            } catch {
                // A checkpoint that cannot be read can be removed all the same.
                if !chosen.contains(name) { hasUnreadable = true }
            }
        }
    }

    /// Throws if a chosen checkpoint is pinned, tagged, or the newest intact one of its run.
    func requireUnprotected() throws(CheckpointError) {
        let tags = marks.tagsByName()
        let newest = newestOfRuns()
        let reasons = chosen.compactMap { name -> String? in
            var reasons: [String] = marks.pins.contains(name) ? ["is pinned"] : []
            if let tags = tags[name] {
                reasons.append(
                    "has the tag\(tags.count == 1 ? "" : "s") \(tags.joined(separator: ", "))")
            }
            if let run = newest[name] {
                reasons.append("is the newest intact checkpoint of run \(run)")
            }
            return reasons.isEmpty ? nil : "step \(name.step) \(reasons.joined(separator: " and "))"
        }
        guard !reasons.isEmpty else { return }
        throw CheckpointError(
            .misuse, "nothing was deleted: \(reasons.joined(separator: "; "))",
            remedy: chosen.contains { marks.pins.contains($0) || tags[$0] != nil }
                ? "Remove the pins and tags first, or use --force"
                : "Use --force to delete the newest intact checkpoint too")
    }

    /// Returns the newest intact checkpoint of each run, with the run's name.
    ///
    /// A run continues across branches. Of several branches, only the newest counts.
    private func newestOfRuns() -> [ManifestName: String] {
        var newest: [ManifestName: String] = [:]
        let intact = items.filter { !$0.isDamaged }
        for members in Dictionary(grouping: intact, by: \.run).values {
            guard let last = members.last, let about = about[last.name] else { continue }
            newest[last.name] = about.runName
        }
        return newest
    }

    var orphans: [SegmentReference] { hasUnreadable ? [] : removal.orphans(of: chosen) }

    /// Removes the chosen checkpoints with their marks. The maintenance lock is held.
    mutating func run(_ maintenance: MaintenanceLock) throws(CheckpointError) -> RemoveReport {
        let (gone, orphans) = try removal.run(chosen, maintenance)
        let files = MarkFiles(store.files)
        let tags = marks.tagsByName()
        for name in gone {
            if marks.pins.contains(name) { try files.unpin(name) }
            for tag in (tags[name] ?? []).compactMap({ TagName($0) }) { try files.remove(tag) }
        }
        return report(inUse: Set(chosen).subtracting(gone), orphans)
    }

    func report(inUse: Set<ManifestName>, _ orphans: [SegmentReference]) -> RemoveReport {
        var report = RemoveReport()
        report.checkpoints = chosen.map { name in
            RemoveReport.Checkpoint(
                id: about[name]?.id, run: name.run, runName: about[name]?.runName ?? "",
                step: name.step,
                outcome: inUse.contains(name) ? .inUse : .removed)
        }
        (report.segmentCount, report.freedBytes) = (
            orphans.count, orphans.reduce(0) { $0 + $1.fileBytes }
        )
        report.leavesSegments = hasUnreadable || chosen.contains { about[$0] == nil }
        return report
    }
}
