internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
public import CheckpointStorage
internal import SystemPackage

/// Result of `CheckpointStore.repair`: findings and changes; in a dry run, the changes that would
/// be made.
public struct RepairReport: Sendable {
    /// A checkpoint that has lost tensors or objects.
    public struct Loss: Sendable {
        /// The damaged checkpoint, which was moved to `quarantine/`.
        public var damaged: VerificationReport.Label
        /// The new checkpoint with its intact content; nil if nothing is intact, or if it was not
        /// written.
        public var salvaged: VerificationReport.Label?
        /// Names of the lost tensors, in the manifest's order.
        public var lostTensors: [String]
        /// Names of the lost objects, in the manifest's order.
        public var lostObjects: [String]
        /// Number of intact tensors and objects.
        public var intact: (tensors: Int, objects: Int)
        /// Tags of the damaged checkpoint, which now dangle. A person decides whether the salvaged
        /// checkpoint should have them.
        public var tags: [String] = []
    }

    /// The rebuilt `store.json`, which is repaired before everything else; nil if it was intact.
    public var identity: RebuiltIdentity?

    /// Names of damaged files that were replaced by those of a mirror: nothing of them is lost.
    public internal(set) var mended: [String] = []
    /// Size of these files in bytes.
    public internal(set) var mendedBytes = 0
    /// Number of checkpoints that only the mirror has: it keeps more, or their manifests are lost
    /// here. `StoreMirror` in the other direction brings them back.
    public internal(set) var onlyInMirror = 0
    /// Number of catalog rows that contradicted their manifests, and were written again.
    public internal(set) var catalogRows = 0
    /// Intact checkpoints that referred to a damaged file, and now refer to copies of its intact
    /// blocks.
    public internal(set) var moved: [VerificationReport.Label] = []
    /// Checkpoints that have lost tensors or objects.
    public internal(set) var losses: [Loss] = []
    /// Errors of manifests that cannot be read at all.
    public internal(set) var unreadable: [CheckpointError] = []
    /// Errors of tags that cannot be read. They stay: only a person may know which checkpoint each
    /// protects.
    public internal(set) var unreadableTags: [CheckpointError] = []
    /// Names of the files moved to `quarantine/`.
    public internal(set) var quarantined: [String] = []
    /// Damaged files that stay in place because a process has them locked.
    public internal(set) var inUse: [String] = []
    /// Bytes of intact blocks copied out of damaged files.
    public internal(set) var copiedBytes = 0

    /// True if nothing that was ever saved is lost, and no damaged file was left in place.
    public var isWithoutLoss: Bool {
        losses.isEmpty && unreadable.isEmpty && inUse.isEmpty && unreadableTags.isEmpty
    }

    /// Creates an empty report.
    package init() {}
}

extension CheckpointStore {
    /// Repairs a damaged store and salvages intact tensors (Formats/durability.md, Repair).
    ///
    /// Reads everything, corrects the catalog, copies intact blocks out of damaged files, publishes
    /// a new checkpoint with the intact content of each one that has lost some, and moves damaged
    /// files to `quarantine/`. A file is removed only if it has another name or a copy.
    ///
    /// A writer and readers in other processes may run concurrently. The call may be interrupted at
    /// any time; the next call continues.
    ///
    /// - Parameters:
    ///   - mirror: a copy of this store, open for reading. Damaged files that it has intact are
    ///     taken from it first.
    ///   - isDryRun: finds the damage, and changes nothing; the store may then be open for reading.
    ///   - cancellation: stops the repair while it checks, and while it copies.
    ///   - progress: called with the bytes checked so far and their total, on this thread.
    /// - Returns: the damage found, and the changes made.
    /// - Throws: codes `misuse` (the store is not open for maintaining; the mirror is one of another
    ///   store), `unsupported` (a manifest
    ///   of a newer version may name any segment), `io`, `noSpace`, `readOnly`, `outOfMemory`, `cancelled`.
    public func repair(
        from mirror: CheckpointStore? = nil, isDryRun: Bool = false, cancellation: Cancellation = Cancellation(),
        progress: (_ checked: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(CheckpointError) -> RepairReport {
        guard isDryRun || access == .maintaining else {
            throw CheckpointError(
                .misuse, "the store is not open for maintaining",
                remedy: "Open it with access .maintaining")
        }
        var mender: FileMender?
        if let mirror {
            mender = try FileMender(
                self, from: mirror, isDryRun: isDryRun, cancellation: cancellation)
        }
        var survey = RepairSurvey(store: self, mender: mender, cancellation: cancellation)
        try survey.run(progress)
        var repair = Repair(
            store: self, survey: survey, isDryRun: isDryRun, cancellation: cancellation)
        var report = try repair.run()
        if let mirror {
            let here = Set(try files.names())
            report.onlyInMirror = try mirror.files.names().count { !here.contains($0) }
        }
        return report
    }
}

/// One repair, after the survey: steps Q1 to Q7 of Formats/durability.md. The maintenance lock is
/// held.
private struct Repair {
    let store: CheckpointStore
    let survey: RepairSurvey
    let isDryRun: Bool
    let cancellation: Cancellation
    private var report = RepairReport()
    private var copies = BlockCopies()
    private var tags: [ManifestName: [String]] = [:]

    init(
        store: CheckpointStore, survey: RepairSurvey, isDryRun: Bool, cancellation: Cancellation
    ) {
        self.store = store
        self.survey = survey
        self.isDryRun = isDryRun
        self.cancellation = cancellation
    }

    private var quarantine: Quarantine { Quarantine(fileSystem: store.fileSystem, directories: store.directories) }

    mutating func run() throws(CheckpointError) -> RepairReport {
        report.catalogRows = survey.contradicted.count
        (report.mended, report.mendedBytes) = (
            survey.mender?.names ?? [], survey.mender?.bytes ?? 0
        )
        report.unreadable = survey.unreadable.map(\.error)
        let affected = try survey.affected()
        let marks = try store.marks()
        (tags, report.unreadableTags) = (marks.tagsByName(), marks.unreadable)
        if isDryRun {
            try foresee(affected)
            return report
        }
        if !survey.contradicted.isEmpty { try mendCatalog() }
        guard !affected.isEmpty || !survey.unreadable.isEmpty || !survey.broken.isEmpty else {
            return report
        }
        if let maintenance = store.maintenance {
            try translating("maintenance") { try maintenance.changeGeneration() }
        }
        try keepDamaged(affected)  // Q1
        let salvages = try rescue(affected)  // Q2
        for checkpoint in affected where checkpoint.losses.isEmpty { try move(checkpoint) }  // Q3
        for checkpoint in affected where !checkpoint.losses.isEmpty {  // Q4, Q5
            try salvage(checkpoint, salvages[checkpoint.manifest.name])
        }
        for (name, _) in survey.unreadable { try putAside(name) }  // Q5
        try removeBroken()  // Q6
        return report
    }

    /// Fills the report of a dry run.
    private mutating func foresee(_ affected: [RepairSurvey.Affected]) throws(CheckpointError) {
        for checkpoint in affected {
            if checkpoint.losses.isEmpty { report.moved.append(.init(checkpoint.manifest)) } else {
                report.losses.append(loss(checkpoint))
                report.quarantined.append(checkpoint.manifest.name.description)
            }
        }
        report.quarantined += survey.unreadable.map { $0.name.description } + (try survey.endangered(affected)).map(\.description)
    }

    /// Corrects the catalog. A row is deleted and inserted, not changed.
    private func mendCatalog() throws(CheckpointError) {
        for name in survey.contradicted {
            store.catalog.remove([name])
            store.catalog.add(try store.files.load(name))
        }
    }

    // MARK: Steps

    /// Q1: links every damaged file, and everything that a quarantined checkpoint needs or may
    /// need, into `quarantine/`. A later removal of the first name leaves the bytes.
    private mutating func keepDamaged(_ affected: [RepairSurvey.Affected]) throws(CheckpointError) {
        try quarantine.prepare()
        for name in try survey.endangered(affected) {
            report.quarantined.append(try quarantine.keep(store.directories.path(of: name), as: name.description))
        }
        try quarantine.sync()
    }

    /// Q2: copies intact blocks out of damaged segments, and writes the notes of the salvaged
    /// checkpoints.
    private mutating func rescue(
        _ affected: [RepairSurvey.Affected]
    ) throws(CheckpointError) -> [ManifestName: Salvage] {
        var rescue = BlockRescue(store: store)
        do throws(CheckpointError) {
            for segment in survey.existingBroken {
                try cancellation.check("the repair", remedy: "Run the command again to continue")
                try rescue.copy(Set(affected.flatMap { $0.survivingBlocks(in: segment) }), of: segment)
            }
            let runs = Salvage.runs(affected)
            var salvages: [ManifestName: Salvage] = [:]
            for checkpoint in affected where !checkpoint.losses.isEmpty && checkpoint.hasSurvivors {
                if survey.isSalvaged(checkpoint.manifest.id) { continue }
                let note = Salvage.note(checkpoint)
                let run = runs[checkpoint.manifest.run, default: checkpoint.manifest.run]
                salvages[checkpoint.manifest.name] = Salvage(checkpoint, run: run, note: note, in: try rescue.add(note))
            }
            copies = try rescue.finish()
            report.copiedBytes = rescue.copiedBytes
            return salvages
        } catch {
            rescue.abandon()
            throw error
        }
    }

    /// Q3: replaces a manifest that names damaged segments by one that names copies.
    private mutating func move(_ checkpoint: RepairSurvey.Affected) throws(CheckpointError) {
        let old = checkpoint.manifest
        let commit = CommitProtocol(fileSystem: store.fileSystem, directories: store.directories, catalog: store.catalog)
        // The copies may be needed by other checkpoints too, so a failure must not remove them.
        if try commit.replace(old, with: copies.relocated(old), of: nil) {
            report.moved.append(.init(old))
        } else {
            report.inUse.append("step \(old.step) of run \(old.run): a running save or another process uses it")
        }
    }

    private mutating func salvage(_ checkpoint: RepairSurvey.Affected, _ salvage: Salvage?) throws(CheckpointError) {
        var loss = loss(checkpoint)
        if let salvage {
            let manifest = salvage.manifest(copies, clock: Clock.milliseconds)
            try publish(manifest)
            loss.salvaged = .init(manifest)
        }
        report.losses.append(loss)
        try putAside(checkpoint.manifest.name)
    }

    private func loss(_ checkpoint: RepairSurvey.Affected) -> RepairReport.Loss {
        let (manifest, losses) = (checkpoint.manifest, checkpoint.losses)
        return RepairReport.Loss(
            damaged: .init(manifest), salvaged: nil, lostTensors: losses.tensors, lostObjects: losses.objects,
            intact: (manifest.tensors.count - losses.tensors.count, manifest.objects.count - losses.objects.count),
            tags: tags[manifest.name] ?? [])
    }

    /// Q4: publishes what is left of a checkpoint. Segments that were copied for it stay if that
    /// fails: other checkpoints may name them.
    private func publish(_ manifest: Manifest) throws(CheckpointError) {
        // Everything that a repair writes must be readable, whatever its source.
        try translating("salvaging \(manifest.name)") {
            _ = try Manifest(decoding: manifest.encoded(digest: Hashing.digest)[...], digest: Hashing.digest)
        }
        try CommitProtocol(
            fileSystem: store.fileSystem, directories: store.directories, catalog: store.catalog
        ).publish(manifest, of: nil)
    }

    /// Q5: moves a manifest to quarantine, unless another process has it locked.
    private mutating func putAside(_ name: ManifestName) throws(CheckpointError) {
        let path = store.directories.path(of: name)
        let removal = ManifestRemoval(files: store.files, catalog: store.catalog)
        let isGone = try translating("putting \(path) into quarantine") {
            try removal.remove(name, .others(tries: 1)) {
                report.quarantined.append(try quarantine.keep(path, as: name.description))
                try quarantine.sync()
            }
        }
        guard isGone else {
            report.inUse.append("\(name): a running save or another process uses it")
            return
        }
        try translating("removing \(path)") { try removal.forget([name]) }
    }

    /// Q6: removes the first names of damaged segments that no manifest names any more.
    private func removeBroken() throws(CheckpointError) {
        var named = Set<SegmentName>()
        for name in try store.files.names() {
            do throws(CheckpointError) { named.formUnion(try store.files.load(name).manifest.segments.map(\.name)) } catch {
                // A manifest that is in use and cannot be read may name any of them.
                guard error.code == .notFound else { return }
            }
        }
        try translating("removing damaged segments") {
            for segment in survey.existingBroken where !named.contains(segment) {
                try store.fileSystem.remove(store.directories.path(of: segment))
            }
            try store.fileSystem.syncDirectory(store.directories.segments)
        }
    }
}

extension VerificationReport.Label {
    init(_ manifest: Manifest) { self.init(id: manifest.id, run: manifest.run, step: manifest.step) }
}
