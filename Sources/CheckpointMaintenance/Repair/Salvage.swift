internal import CheckpointStorage
internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointSegments

/// What is left of a checkpoint, as a checkpoint of its own: pure.
struct Salvage {
    /// The object that says from which checkpoint it is, and what is lost.
    static let objectName = "salvage"

    private let checkpoint: RepairSurvey.Affected
    private let run: RunID
    private let note: [UInt8]
    private let place: BlockRescue.Place

    init(_ checkpoint: RepairSurvey.Affected, run: RunID, note: [UInt8], place: BlockRescue.Place) {
        self.checkpoint = checkpoint
        self.run = run
        self.note = note
        self.place = place
    }

    /// A run for what is left of each run: older than any that ever trained, so that `latest` never means it while there is another.
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

    /// The same step, metrics and groups, with what is whole and the note; its parent is the damaged checkpoint.
    func manifest(_ copies: BlockCopies, clock: Int) -> Manifest {
        let old = checkpoint.manifest
        var new = Manifest(
            id: .random(), store: old.store, run: run, runName: "salvaged: \(old.runName)", step: old.step, created: clock,
            writer: Version.writer)
        new.parent = .init(id: old.id, run: old.run, step: old.step)
        (new.metrics, new.groups) = (old.metrics, old.groups)
        var builder = copies.builder(for: old)
        new.tensors = checkpoint.survivingTensors.map { builder.add($0) }
        // Were there one of this name already, it would be the note of an earlier salvage, which this one goes on from.
        new.objects = checkpoint.survivingObjects.filter { $0.name != Self.objectName }.map { builder.add($0) }
        new.objects.append(builder.add(note, name: Self.objectName, copies.location(of: place)))
        (new.segments, new.blocks, new.chunks) = (builder.table.segments, builder.table.blocks, builder.chunks)
        return new
    }
}

/// Where intact blocks of damaged segments lie now.
struct BlockCopies {
    var segments: [SegmentReference] = []
    /// By segment and offset.
    var places: [SegmentName: [Int: BlockRescue.Place]] = [:]

    func location(of place: BlockRescue.Place) -> (segment: SegmentReference, block: SegmentBlock) {
        (segments[place.segment], place.block)
    }

    func builder(for manifest: Manifest) -> Builder { Builder(copies: self, manifest: manifest) }

    /// The same checkpoint, with copies in the place of blocks that were copied.
    func relocated(_ manifest: Manifest) -> Manifest {
        var builder = builder(for: manifest)
        var moved = manifest
        for index in moved.chunks.indices { moved.chunks[index].block = builder.row(of: moved.chunks[index].block) }
        (moved.segments, moved.blocks) = (builder.table.segments, builder.table.blocks)
        return moved
    }

    /// Makes up the tables of a manifest from those of another.
    struct Builder {
        private let copies: BlockCopies
        private let manifest: Manifest
        private(set) var table = BlockTable()
        private(set) var chunks: [ChunkRecord] = []

        init(copies: BlockCopies, manifest: Manifest) {
            self.copies = copies
            self.manifest = manifest
        }

        /// The new row of a block, which is added with those that it is a delta of.
        mutating func row(of old: Int) -> Int {
            let block = manifest.blocks[old]
            let base = block.base.map { row(of: $0) }
            let segment = manifest.segments[block.segment]
            if !block.codec.isCast, let place = copies.places[segment.name]?[block.offset] {
                let copy = copies.location(of: place)
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

        /// An object that is new, in a block of its own.
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
