public import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
public import CheckpointStorage
internal import SystemPackage

/// The space that a store uses, by role, type and codec, and the savings of deduplication and
/// compression. A plain value, fed with manifests; sizes in bytes.
public struct StoreStatistics: Sendable {
    /// Content of one kind.
    public struct Amount: Sendable, Equatable {
        /// In all checkpoints together.
        public var logical = 0
        /// The same, with content that several checkpoints or tensors share counted once.
        public var unique = 0
        /// Its bytes in stored blocks; a block with several tensors or objects is divided among
        /// them.
        public var stored = 0.0

        /// `stored`, rounded.
        public var storedBytes: Int { Int(stored.rounded()) }
    }

    /// Blocks of one codec, each counted once.
    public struct Blocks: Sendable, Equatable {
        /// Number of blocks.
        public var count = 0
        /// Bytes before encoding.
        public var raw = 0
        /// Bytes as stored.
        public var stored = 0
    }

    /// Growth of the store by one checkpoint.
    public struct Growth: Sendable, Equatable {
        /// The checkpoint's id.
        public var id: CheckpointID
        /// Id of the restart that saved it.
        public var run: RunID
        /// Name of its run.
        public var runName: String
        /// Its step.
        public var step: Int
        /// Bytes of its tensors and objects.
        public var logical: Int
        /// Stored bytes of blocks that hold content of it, and of no earlier checkpoint.
        public var new: Int
    }

    /// In order of checkpoint names.
    public private(set) var growth: [Growth] = []
    /// Number of runs with different names.
    public var runCount: Int { Set(growth.map(\.runName)).count }
    /// All content.
    public private(set) var total = Amount()
    /// Content by role of tensors, and `objects`.
    public private(set) var classes: [String: Amount] = [:]
    /// Content by element type, and `objects`.
    public private(set) var types: [String: Amount] = [:]
    /// Blocks by codec.
    public private(set) var codecs: [String: Blocks] = [:]
    /// Sizes of the segment files that checkpoints name.
    public private(set) var segmentBytes = 0
    /// Number of these files.
    public private(set) var segmentCount = 0
    /// Sizes of the manifests.
    public fileprivate(set) var manifestBytes = 0
    /// Size of the catalog.
    public fileprivate(set) var catalogBytes = 0
    /// Files that belong to no checkpoint: of a save in flight, or left by a killed writer.
    public fileprivate(set) var leavings = Leavings()
    /// Sizes of the damaged files that a repair has moved to `quarantine/`.
    public fileprivate(set) var quarantineBytes = 0

    /// Sizes of all files that belong to no checkpoint.
    public var otherBytes: Int { leavings.bytes + quarantineBytes }

    /// All blocks, each counted once.
    public var blocks: Blocks {
        codecs.values.reduce(into: Blocks()) { sum, blocks in
            sum.count += blocks.count
            sum.raw += blocks.raw
            sum.stored += blocks.stored
        }
    }

    /// Size of everything on disk.
    public var diskBytes: Int { segmentBytes + manifestBytes + catalogBytes + otherBytes }

    /// A block, or a chunk in it, that was counted.
    private struct Counted: Hashable {
        /// The block; for a cast, its base.
        var block: BlockID
        /// Offset of the chunk in the block; -1 for the block itself.
        var offset: Int
        /// The cast, and the range of its base.
        var cast: SegmentBlock?
    }

    private var seen: Set<Counted> = []
    /// Blocks that hold content of a checkpoint that was added.
    private var owned: Set<BlockID> = []
    private var segments: Set<SegmentName> = []

    package init() {}

    /// Adds a checkpoint. Add the oldest first, so that growth is counted for the right one.
    ///
    /// - Parameters:
    ///   - manifest: the checkpoint.
    ///   - defaultName: the name to use for a run without a name.
    package mutating func add(_ manifest: Manifest, defaultName: String) {
        var new = 0
        for segment in manifest.segments where segments.insert(segment.name).inserted {
            segmentBytes += segment.fileBytes
            segmentCount += 1
        }
        for block in manifest.blocks where see(manifest, block, -1) {
            let name = block.location.codec.name
            codecs[name, default: Blocks()].count += 1
            codecs[name, default: Blocks()].raw += block.rawBytes
            codecs[name, default: Blocks()].stored += block.storedBytes
        }
        for row in manifest.contentBytes.keys {
            let block = manifest.blocks[row]
            if owned.insert(BlockID(block, in: manifest.segments)).inserted {
                new += block.storedBytes
            }
        }
        for tensor in manifest.tensors {
            for shard in tensor.shards {
                add(manifest, shard.chunks, tensor.role.rawValue, tensor.type.rawValue)
            }
        }
        for object in manifest.objects { add(manifest, object.chunks, "objects", "objects") }
        growth.append(
            Growth(
                id: manifest.id, run: manifest.run,
                runName: manifest.runName.isEmpty ? defaultName : manifest.runName,
                step: manifest.step,
                logical: manifest.logicalBytes, new: new))
    }

    private mutating func see(_ manifest: Manifest, _ block: BlockRecord, _ offset: Int) -> Bool {
        guard block.codec.isCast, let base = block.base else {
            let id = BlockID(block, in: manifest.segments)
            return seen.insert(Counted(block: id, offset: offset)).inserted
        }
        let id = BlockID(manifest.blocks[base], in: manifest.segments)
        return seen.insert(Counted(block: id, offset: offset, cast: block.location)).inserted
    }

    private mutating func add(
        _ manifest: Manifest, _ rows: Range<Int>, _ role: String, _ type: String
    ) {
        for chunk in manifest.chunks[rows] {
            let block = manifest.blocks[chunk.block]
            var amount = Amount(logical: chunk.bytes)
            if see(manifest, block, chunk.offset) {
                amount.unique = chunk.bytes
                amount.stored =
                    Double(block.storedBytes) * Double(chunk.bytes) / Double(block.rawBytes)
            }
            total.add(amount)
            classes[role, default: Amount()].add(amount)
            types[type, default: Amount()].add(amount)
        }
    }

    fileprivate func knows(_ segment: SegmentName) -> Bool { segments.contains(segment) }
}

extension StoreStatistics.Amount {
    fileprivate mutating func add(_ other: Self) {
        logical += other.logical
        unique += other.unique
        stored += other.stored
    }
}

extension CheckpointStore {
    /// Computes statistics of the store. Reads every manifest, and no segment.
    ///
    /// - Parameter progress: called with the manifests read so far, and their number.
    /// - Returns: the statistics, and the errors of checkpoints that could not be read.
    /// - Throws: codes `io`, `readOnly`.
    public func statistics(
        progress: (_ done: Int, _ total: Int) -> Void
    ) throws(CheckpointError) -> (statistics: StoreStatistics, damaged: [CheckpointError]) {
        var statistics = StoreStatistics()
        var damaged: [CheckpointError] = []
        let names = try files.names()
        for (index, name) in names.enumerated() {
            progress(index, names.count)
            do throws(CheckpointError) {
                let loaded = try files.load(name)
                statistics.add(loaded.manifest, defaultName: defaultRunName)
                statistics.manifestBytes += loaded.fileBytes
            } catch { if error.code != .notFound { damaged.append(error) } }  // gone since it was listed
        }
        statistics.catalogBytes = size(of: directories.catalog)
        statistics.leavings = try leavings(isNamed: statistics.knows)
        statistics.leavings.isComplete = damaged.isEmpty
        // A store that was never repaired has no such directory.
        for name in try translating(
            "listing", { try fileSystem.listIfThere(directories.quarantine) })
        {
            statistics.quarantineBytes += size(of: directories.quarantine.appending(name))
        }
        return (statistics, damaged)
    }
}
