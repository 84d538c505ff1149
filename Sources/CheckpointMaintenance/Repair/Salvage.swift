internal import CheckpointStorage
internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointSegments

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

/// Positions of the copies of intact blocks from damaged segments.
struct BlockCopies {
    var segments: [SegmentReference] = []
    /// The copies, by the original.
    var blocks: [BlockID: PlacedBlock] = [:]

    func location(of copy: PlacedBlock) -> (segment: SegmentReference, block: SegmentBlock) {
        (segments[copy.segment], copy.location)
    }

    func builder(for manifest: Manifest) -> Builder { Builder(copies: self, manifest: manifest) }

    /// Returns the manifest of the same checkpoint, with copies in place of the blocks that were
    /// copied.
    func relocated(_ manifest: Manifest) -> Manifest {
        var builder = builder(for: manifest)
        var moved = manifest
        for index in moved.chunks.indices { moved.chunks[index].block = builder.row(of: moved.chunks[index].block) }
        (moved.segments, moved.blocks) = (builder.table.segments, builder.table.blocks)
        return moved
    }

    /// Builds the tables of a manifest from those of another.
    struct Builder {
        private let copies: BlockCopies
        private let manifest: Manifest
        private(set) var table = BlockTable()
        private(set) var chunks: [ChunkRecord] = []

        init(copies: BlockCopies, manifest: Manifest) {
            self.copies = copies
            self.manifest = manifest
        }

        /// Returns the new row of a block; adds the block after all blocks that it is a delta of.
        mutating func row(of old: Int) -> Int {
            let block = manifest.blocks[old]
            let base = block.base.map { row(of: $0) }
            let segment = manifest.segments[block.segment]
            if !block.codec.isCast, let copied = copies.blocks[BlockID(block, in: manifest.segments)] {
                let copy = copies.location(of: copied)
                return table.add(copy.block, of: copy.segment, base: base)
            }
            return table.add(block.location, of: segment, base: base)
        }

        private mutating func add(_ rows: Range<Int>) -> Range<Int> {
            let first = chunks.count
            for var chunk in manifest.chunks[rows] {
                chunk.block = row(of: chunk.block)
                chunks.append(chunk)
            }
            return first..<chunks.count
        }

        mutating func add(_ tensor: TensorRecord) -> TensorRecord {
            var tensor = tensor
            for index in tensor.shards.indices { tensor.shards[index].chunks = add(tensor.shards[index].chunks) }
            return tensor
        }

        mutating func add(_ object: ObjectRecord) -> ObjectRecord {
            var object = object
            object.chunks = add(object.chunks)
            return object
        }

        /// Adds a new object, in a separate block.
        mutating func add(
            _ bytes: [UInt8], name: String, _ location: (segment: SegmentReference, block: SegmentBlock)
        ) -> ObjectRecord {
            let row = table.add(location.block, of: location.segment)
            chunks.append(ChunkRecord(hash: Hashing.digest(bytes[...]), block: row, offset: 0, bytes: bytes.count, epoch: 0))
            return ObjectRecord(
                name: name, role: .other, encoding: .json, bytes: bytes.count, chunks: chunks.count - 1..<chunks.count)
        }
    }
}
