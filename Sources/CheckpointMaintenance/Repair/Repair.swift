public import CheckpointStorage
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import SystemPackage

/// What `CheckpointStore.repair` found and did, or would do.
public struct RepairReport: Sendable {
    /// A checkpoint that had lost something.
    public struct Loss: Sendable {
        /// The damaged checkpoint, which lies in `quarantine/` now.
        public var damaged: VerificationReport.Label
        /// The one that holds what is left of it; nil if nothing is, or nothing was written.
        public var salvaged: VerificationReport.Label?
        /// Names of what could not be saved, in the manifest's order.
        public var lostTensors: [String]
        /// The same of objects.
        public var lostObjects: [String]
        /// How many tensors and objects are whole.
        public var intact: (tensors: Int, objects: Int)
        /// Its tags, which now are those of nothing: whether what is left deserves them, a person decides.
        public var tags: [String] = []
    }

    /// That `store.json` was made anew before everything else; nil if it was whole.
    public var identity: RebuiltIdentity?

    /// Rows of the catalog that contradicted their manifests, and were written anew.
    public internal(set) var catalogRows = 0
    /// Checkpoints of which everything is whole, but which named a damaged file; they name copies now.
    public internal(set) var moved: [VerificationReport.Label] = []
    /// Checkpoints that have lost something.
    public internal(set) var losses: [Loss] = []
    /// Manifests that could not be read at all.
    public internal(set) var unreadable: [CheckpointError] = []
    /// Tags that cannot be read, and stay: which checkpoint each protects, only a person may know.
    public internal(set) var unreadableTags: [CheckpointError] = []
    /// Files that were put aside, by their names in `quarantine/`.
    public internal(set) var quarantined: [String] = []
    /// What is damaged and stays as it is, since a process counts on it.
    public internal(set) var inUse: [String] = []
    /// Bytes of intact blocks copied out of damaged files.
    public internal(set) var copiedBytes = 0

    /// Whether every byte that was ever saved is still there, and nothing damaged was left in place.
    public var isWithoutLoss: Bool { losses.isEmpty && unreadable.isEmpty && inUse.isEmpty && unreadableTags.isEmpty }

    /// Nothing found, nothing done.
    package init() {}
}

extension CheckpointStore {
    /// Puts a damaged store in order: reads everything, brings the catalog into step, copies what is intact out of damaged files, makes a
    /// new checkpoint of what is left of each that has lost something, and puts damaged files aside into `quarantine/`.
    ///
    /// Nothing is ever removed that has no other name or copy. It is safe beside a writer and readers, and whenever it is
    /// interrupted; running it again goes on from there (Formats/durability.md, Repair).
    /// - Parameters:
    ///   - isDryRun: only finds out; the store may be open for reading then.
    ///   - progress: called with the bytes checked so far and those to be checked.
    /// - Throws: codes `misuse` (the store is not open for maintaining), `unsupported` (a manifest of a newer version may name anything),
    ///   `io`, `noSpace`, `readOnly`, `outOfMemory`.
    public func repair(
        isDryRun: Bool = false, progress: (_ checked: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(CheckpointError) -> RepairReport {
        guard isDryRun || access == .maintaining else {
            throw CheckpointError(.misuse, "the store is not open for maintaining", remedy: "Open it with access .maintaining")
        }
        var survey = RepairSurvey(store: self)
        try survey.run(progress)
        var repair = Repair(store: self, survey: survey, isDryRun: isDryRun)
        return try repair.run()
    }
}

/// One repair, after the survey: steps Q1 to Q7 of Formats/durability.md.
private struct Repair {
    let store: CheckpointStore
    let survey: RepairSurvey
    let isDryRun: Bool
    private var report = RepairReport()
    private var copies = BlockCopies()
    private var tags: [ManifestName: [String]] = [:]

    init(store: CheckpointStore, survey: RepairSurvey, isDryRun: Bool) {
        self.store = store
        self.survey = survey
        self.isDryRun = isDryRun
    }

    private var quarantine: Quarantine { Quarantine(fileSystem: store.fileSystem, directories: store.directories) }

    mutating func run() throws(CheckpointError) -> RepairReport {
        report.catalogRows = survey.contradicted.count
        report.unreadable = survey.unreadable.map(\.error)
        let affected = try survey.affected()
        let marks = try store.marks()
        (tags, report.unreadableTags) = (marks.tagsByName(), marks.unreadable)
        if isDryRun {
            try foresee(affected)
            return report
        }
        if !survey.contradicted.isEmpty { try mendCatalog() }
        guard !affected.isEmpty || !survey.unreadable.isEmpty || !survey.broken.isEmpty else { return report }
        if let maintenance = store.maintenance { try translating("maintenance") { try maintenance.changeGeneration() } }
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

    /// What a dry run tells.
    private mutating func foresee(_ affected: [RepairSurvey.Affected]) throws(CheckpointError) {
        for checkpoint in affected {
            if checkpoint.losses.isEmpty { report.moved.append(.init(checkpoint.manifest)) } else {
                report.losses.append(loss(checkpoint))
                report.quarantined.append(checkpoint.manifest.name.description)
            }
        }
        report.quarantined += survey.unreadable.map { $0.name.description } + (try survey.endangered(affected)).map(\.description)
    }

    /// A row is written anew, not changed.
    private func mendCatalog() throws(CheckpointError) {
        for name in survey.contradicted {
            store.catalog.remove([name])
            store.catalog.add(try store.files.load(name))
        }
    }

    // MARK: Steps

    /// Gives every damaged file, and everything that a checkpoint put aside needs or may need, a second name in `quarantine/`: whatever
    /// removes the first one later leaves the bytes.
    private mutating func keepDamaged(_ affected: [RepairSurvey.Affected]) throws(CheckpointError) {
        try quarantine.prepare()
        for name in try survey.endangered(affected) {
            report.quarantined.append(try quarantine.keep(store.directories.path(of: name), as: name.description))
        }
        try quarantine.sync()
    }

    /// Copies intact blocks out of damaged segments, and writes what salvaged checkpoints say of themselves.
    private mutating func rescue(
        _ affected: [RepairSurvey.Affected]
    ) throws(CheckpointError) -> [ManifestName: Salvage] {
        var rescue = BlockRescue(store: store)
        do throws(CheckpointError) {
            for segment in survey.existingBroken {
                try rescue.copy(Set(affected.flatMap { $0.survivingBlocks(in: segment) }), of: segment)
            }
            let runs = Salvage.runs(affected)
            var salvages: [ManifestName: Salvage] = [:]
            for checkpoint in affected where !checkpoint.losses.isEmpty && checkpoint.hasSurvivors {
                if survey.isSalvaged(checkpoint.manifest.id) { continue }
                let note = Salvage.note(checkpoint)
                let run = runs[checkpoint.manifest.run, default: checkpoint.manifest.run]
                salvages[checkpoint.manifest.name] = Salvage(checkpoint, run: run, note: note, place: try rescue.add(note))
            }
            copies = try rescue.finish()
            report.copiedBytes = rescue.copiedBytes
            return salvages
        } catch {
            rescue.abandon()
            throw error
        }
    }

    /// Puts a manifest that names copies in the place of one that names damaged segments.
    private mutating func move(_ checkpoint: RepairSurvey.Affected) throws(CheckpointError) {
        let old = checkpoint.manifest
        let commit = CommitProtocol(fileSystem: store.fileSystem, directories: store.directories, catalog: store.catalog)
        // Segments that other checkpoints need, too, are not this one's to abandon.
        let nobody = SegmentWriter(
            fileSystem: store.fileSystem, directories: store.directories, store: store.id, attempt: .random(), rank: 0)
        if try commit.replace(old, with: copies.relocated(old), nobody) {
            report.moved.append(.init(old))
        } else {
            report.inUse.append("step \(old.step) of run \(old.run): a save or another process counts on it")
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

    private func publish(_ manifest: Manifest) throws(CheckpointError) {
        let bytes = manifest.encoded(digest: Hashing.digest)
        let (staged, final) = (store.directories.staging.appending("\(manifest.id).manifest"), store.directories.path(of: manifest.name))
        try translating("publishing \(final)") {
            _ = try Manifest(decoding: bytes[...], digest: Hashing.digest)
            try store.fileSystem.createDurably(staged, bytes)
            try store.fileSystem.link(staged, to: final)
            try store.fileSystem.syncDirectory(store.directories.manifests)
            try store.fileSystem.remove(staged)
        }
        store.catalog.add(.init(manifest: manifest, hash: Manifest.hash(ofEncoded: bytes), fileBytes: bytes.count))
    }

    /// Moves a manifest into quarantine, unless somebody counts on it.
    private mutating func putAside(_ name: ManifestName) throws(CheckpointError) {
        let path = store.directories.path(of: name)
        let claim = try translating("claiming \(path)") { try store.fileSystem.reopen(path) }
        guard let claim else {
            report.inUse.append("\(name): a save or another process counts on it")
            return
        }
        defer { claim.close() }
        report.quarantined.append(try quarantine.keep(path, as: name.description))
        try quarantine.sync()
        try translating("removing \(path)") {
            try store.fileSystem.remove(path)
            try store.fileSystem.syncDirectory(store.directories.manifests)
        }
        store.catalog.remove([name])
    }

    /// Removes the first names of damaged segments that no manifest names any more.
    private func removeBroken() throws(CheckpointError) {
        var named = Set<SegmentName>()
        for name in try store.files.names() {
            do throws(CheckpointError) { named.formUnion(try store.files.load(name).manifest.segments.map(\.name)) } catch {
                // One that is in use and cannot be read may name any of them.
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
