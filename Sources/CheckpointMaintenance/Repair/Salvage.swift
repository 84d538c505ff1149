internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointSegments
internal import CheckpointStorage

/// The intact content of a damaged checkpoint, as a new checkpoint. Pure.
struct Salvage {
    /// Name of the object that records the damaged checkpoint and the lost names.
    static let objectName = "salvage"

    private let checkpoint: RepairSurvey.Affected
    private let run: RunID
    private let note: [UInt8]
    private let noteBlock: PlacedBlock

    init(_ checkpoint: RepairSurvey.Affected, run: RunID, note: [UInt8], in noteBlock: PlacedBlock) {
        self.checkpoint = checkpoint
        self.run = run
        self.note = note
        self.noteBlock = noteBlock
    }

    /// Returns a new run for the salvaged checkpoints of each run. Its id sorts before every run
    /// that has trained, so that `latest` never means a salvaged checkpoint while there is another.
    static func runs(_ affected: [RepairSurvey.Affected]) -> [RunID: RunID] {
        let runs = Set(affected.filter { !$0.losses.isEmpty }.map(\.manifest.run))
        return Dictionary(uniqueKeysWithValues: runs.map { ($0, RunID(rawValue: UInt128.random(in: 1..<1 << 80))) })
    }

    static func note(_ checkpoint: RepairSurvey.Affected) -> [UInt8] {
        let manifest = checkpoint.manifest
        return JSONValue.object([
            .init(
                "salvaged_from",
                .object([.init("id", .hex(manifest.id)), .init("run", .hex(manifest.run)), .init("step", .count(manifest.step))])),
            .init("lost_tensors", .array(checkpoint.losses.tensors.map { .string($0) })),
            .init("lost_objects", .array(checkpoint.losses.objects.map { .string($0) })),
        ]).text
    }

    /// Returns the new manifest: same step, metrics and groups, with the intact content and the
    /// note. Its parent is the damaged checkpoint.
    func manifest(_ copies: BlockCopies, clock: Int) -> Manifest {
        let old = checkpoint.manifest
        var new = Manifest(
            id: .random(), store: old.store, run: run, runName: "salvaged: \(old.runName)", step: old.step, created: clock,
            writer: LibraryVersion.writer)
        new.parent = .init(id: old.id, run: old.run, step: old.step)
        new.recordedOrigin = CheckpointOrigin(
            kind: .salvaged, store: old.store, run: run, branch: run, restart: 0)
        (new.metrics, new.groups) = (old.metrics, old.groups)
        var builder = copies.builder(for: old)
        new.tensors = checkpoint.survivingTensors.map { builder.add($0) }
        // An object of this name would be the note of an earlier salvage, which the new note
        // replaces.
        new.objects = checkpoint.survivingObjects.filter { $0.name != Self.objectName }.map { builder.add($0) }
        new.objects.append(builder.add(note, name: Self.objectName, copies.location(of: noteBlock)))
        (new.segments, new.blocks, new.chunks) = (builder.table.segments, builder.table.blocks, builder.chunks)
        return new
    }
}
