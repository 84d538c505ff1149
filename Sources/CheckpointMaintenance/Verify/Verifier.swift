internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
public import CheckpointStorage
internal import SystemPackage

extension CheckpointStore {
    /// Checks that everything written can still be read. Reads only; never writes.
    ///
    /// Checked are each manifest against its hash, each segment's structure and padding, each
    /// block's stored bytes, each chunk's raw bytes against the hash taken at capture, and the
    /// catalog against the manifests.
    ///
    /// A damaged file is a finding, not an error: verification continues. A segment that several
    /// checkpoints name is read once.
    ///
    /// - Parameters:
    ///   - reference: one checkpoint; nil means all of them, and the other files in the store. Here
    ///     `latest` means the newest checkpoint, intact or not.
    ///   - quick: checks manifests and the structure of segments only, and reads no blocks.
    ///   - sample: reads only these blocks; the report states the fraction.
    ///   - progress: called with the bytes checked so far and their total, on this thread.
    /// - Returns: the findings, and the amount that was checked.
    /// - Throws: codes `notFound` (no such checkpoint), `io`, `readOnly` (the store's directories
    ///   cannot be listed).
    public func verify(
        _ reference: CheckpointReference? = nil, quick: Bool = false, sample: VerificationSample? = nil,
        progress: (_ checked: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(CheckpointError) -> VerificationReport {
        var verifier = Verifier(store: self, isQuick: quick, sample: sample)
        if let reference {
            guard let name = try candidates(reference).first else { throw try missing(reference, []) }
            guard verifier.read(name) else { throw try missing(reference, []) }
        } else {
            for name in try files.names() { _ = verifier.read(name) }
            try verifier.noteStrangers()
            try verifier.checkMarks()
        }
        verifier.checkSegments(progress)
        return verifier.report
    }
}

/// One verification in progress: first the manifests, which define the expected content of the
/// segments, then each segment.
private struct Verifier {
    let store: CheckpointStore
    let isQuick: Bool
    let sample: VerificationSample?
    private(set) var report = VerificationReport()
    private var uses: [SegmentName: SegmentUse] = [:]
    /// Checkpoints with blocks that are stored as deltas or casts.
    private var withDeltas: [ManifestName] = []
    private var lost = LostBlocks()
    private var isEveryManifestRead = true

    init(store: CheckpointStore, isQuick: Bool, sample: VerificationSample?) {
        self.store = store
        self.isQuick = isQuick
        self.sample = sample
    }

    /// Reads and checks one manifest.
    ///
    /// - Returns: false if its owner has removed it since it was listed.
    mutating func read(_ name: ManifestName) -> Bool {
        let path = store.directories.path(of: name).string
        do throws(CheckpointError) {
            let loaded = try store.files.load(name)
            uses.add(loaded.manifest)
            report.checkpointCount += 1
            if loaded.manifest.hasBases { withDeltas.append(name) }
            if let contradiction = store.catalog.contradiction(of: loaded) {
                let advice = "delete catalog.sqlite; the next writer rebuilds it"
                add(.catalog, store.directories.catalog.string, "\(contradiction); \(advice)", of: loaded.manifest)
            }
        } catch {
            guard error.code != .notFound else { return false }
            isEveryManifestRead = false
            report.findings.append(.init(error, path: path))
        }
        return true
    }

    private mutating func add(
        _ kind: VerificationReport.Finding.Kind, _ path: String, _ message: String, of manifest: Manifest
    ) {
        let label = VerificationReport.Label(id: manifest.id, run: manifest.run, step: manifest.step)
        report.findings.append(.init(kind: kind, path: path, message: message, checkpoints: [label]))
    }

    /// Reports files in the store that do not belong to it.
    mutating func noteStrangers() throws(CheckpointError) {
        for name in try store.files.foreignNames() {
            note(store.directories.manifests, name, "ignored: the name is not that of a checkpoint")
        }
        // Missing segments are reported one by one.
        let segments = try translating("listing segments") { try store.fileSystem.listIfThere(store.directories.segments) }
        for text in segments.sorted() {
            guard let name = SegmentName(text) else {
                note(store.directories.segments, text, "ignored: the name is not that of a segment")
                continue
            }
            guard uses[name] == nil else { continue }
            let readable = isEveryManifestRead ? "" : " that can be read"
            let condition =
                store.fileSystem.excludesOtherWriters
                ? "if no process writes to the store" : "a day after its upload"
            let advice = isEveryManifestRead ? "; \(condition), ckpt clean deletes it" : ""
            note(
                store.directories.segments, text,
                "no checkpoint\(readable) uses this segment\(advice)")
        }
    }

    /// Reports tags that cannot be read, since each may protect any checkpoint, and tags of
    /// checkpoints that no longer exist, which protect nothing.
    mutating func checkMarks() throws(CheckpointError) {
        let marks = try store.marks()
        let names = Set(try store.files.names())
        for error in marks.unreadable {
            let advice = error.remedy.map { "; \($0)" } ?? ""
            report.findings.append(.init(kind: .damage, path: error.path ?? "", message: error.message + advice))
        }
        for (tag, mark) in marks.tags.sorted(by: { $0.key < $1.key }) where !names.contains(mark.name) {
            note(
                store.directories.tags, tag.description,
                "the checkpoint with this tag, step \(mark.name.step), was deleted; "
                    + "ckpt tag STORE --delete \(tag) removes the tag")
        }
        for pin in marks.pins.subtracting(names).sorted() {
            note(store.directories.pins, pin.description, "the pinned checkpoint, step \(pin.step), was deleted")
        }
    }

    private mutating func note(_ directory: FilePath, _ name: String, _ message: String) {
        // A name from a directory listing may not be a valid path component, so it is appended as
        // text.
        report.findings.append(.init(kind: .note, path: "\(directory)/\(name)", message: message))
    }

    mutating func checkSegments(_ progress: (Int, Int) -> Void) {
        let total = uses.values.reduce(0) { $0 + $1.fileBytes }
        var done = 0
        let chosen = sample.map { BlockSample(of: uses, $0) }
        report.blockBytes = uses.values.reduce(0) { $0 + $1.blocks.keys.reduce(0) { $0 + $1.paddedBytes } }
        for (name, use) in uses.sorted(by: { $0.key.description < $1.key.description }) {
            var check = SegmentCheck(store: store, name: name, use: use)
            check.structure()
            if !isQuick {
                check.contents(where: { chosen?.contains($0, in: name) ?? true }) { progress(min(done + $0, total), total) }
            }
            report.segmentCount += 1
            report.checkedBytes += check.checkedBytes
            record(check.faults, name, use)
            lost.add(check.faults, name)
            done += use.fileBytes
            progress(done, total)
        }
        if !isQuick { for name in withDeltas { checkDeltas(name, chosen) } }
    }

    private mutating func checkDeltas(_ name: ManifestName, _ chosen: BlockSample?) {
        // Removed by its owner, or damaged, since it was read; the next verification reports the
        // damage.
        guard let manifest = try? store.files.load(name).manifest else { return }
        report.findings += DeltaCheck(store: store, manifest: manifest, lost: lost, chosen: chosen).faults().map(\.finding)
    }

    private mutating func record(_ faults: [SegmentFault], _ name: SegmentName, _ use: SegmentUse) {
        guard !faults.isEmpty else { return }
        var owners = SegmentOwners()
        var isStillNamed = false
        for manifest in use.manifests {
            do throws(CheckpointError) {
                let manifest = try store.files.load(manifest).manifest
                // A manifest that was replaced by a repack since then names other segments.
                guard manifest.segments.contains(where: { $0.name == name }) else { continue }
                owners.add(manifest, segment: name)
                isStillNamed = true
            } catch {
                // It was read a moment ago: if it is gone now, its owner has removed it, and
                // nothing is lost.
                isStillNamed = isStillNamed || error.code != .notFound
            }
        }
        guard isStillNamed else { return }
        for fault in faults {
            var finding = VerificationReport.Finding(fault.error, path: store.directories.path(of: name).string)
            finding.checkpoints = owners.checkpoints
            (finding.tensors, finding.objects) = owners.losers(by: fault.loss)
            report.findings.append(finding)
        }
    }
}

extension VerificationReport.Finding {
    fileprivate init(_ error: CheckpointError, path: String) {
        self.init(
            kind: error.code.meansDamage ? .damage : .unchecked, path: error.path ?? path,
            offset: error.offset, message: error.message)
    }
}
