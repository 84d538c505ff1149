package import CheckpointStorage
package import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import SystemPackage

/// Space used by a store, by class, type and codec, and the savings of deduplication and
/// compression. A plain value, computed from manifests; sizes in bytes.
package struct StoreStatistics: Sendable {
    /// Size of one kind of content.
    package struct Amount: Sendable, Equatable {
        /// Size in all checkpoints together.
        package var logical = 0
        /// The same, with content shared by several checkpoints or tensors counted once.
        package var unique = 0
        /// Stored size of the unique content. A block that holds several chunks is divided among
        /// them.
        package var stored = 0.0

        package var storedBytes: Int { Int(stored.rounded()) }
    }

    /// Blocks of one codec, each counted once.
    package struct Blocks: Sendable, Equatable {
        package var count = 0
        package var raw = 0
        package var stored = 0
    }

    /// Space that one checkpoint added to the earlier ones.
    package struct Growth: Sendable, Equatable {
        package var id: CheckpointID
        package var run: RunID
        package var step: Int
        package var logical: Int
        /// Stored bytes of blocks that no earlier checkpoint names.
        package var new: Int
    }

    /// Growth by checkpoint, in order of names.
    package private(set) var growth: [Growth] = []
    package private(set) var total = Amount()
    package private(set) var classes: [String: Amount] = [:]
    package private(set) var types: [String: Amount] = [:]
    package private(set) var codecs: [String: Blocks] = [:]
    /// Total size of the segment files that checkpoints name.
    package private(set) var segmentBytes = 0
    package private(set) var segmentCount = 0
    package fileprivate(set) var manifestBytes = 0
    package fileprivate(set) var catalogBytes = 0
    /// Size of orphan segments, and of files of saves in flight.
    package fileprivate(set) var otherBytes = 0

    /// Sum over all codecs.
    package var blocks: Blocks {
        codecs.values.reduce(into: Blocks()) { sum, blocks in
            sum.count += blocks.count
            sum.raw += blocks.raw
            sum.stored += blocks.stored
        }
    }

    package var diskBytes: Int { segmentBytes + manifestBytes + catalogBytes + otherBytes }

    private struct Place: Hashable {
        var segment: SegmentName
        var block: Int
        /// Offset in the block; -1 for the block itself.
        var offset: Int
        /// Codec and source range of a cast, which has its base's position; nil for other blocks.
        var cast: SegmentBlock?
    }

    private var seen: Set<Place> = []
    private var segments: Set<SegmentName> = []

    package init() {}

    /// Adds a checkpoint. Add the oldest first, so that shared blocks count as growth of the first
    /// that names them.
    ///
    /// - Parameter manifest: the checkpoint's manifest.
    package mutating func add(_ manifest: Manifest) {
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
            new += block.storedBytes
        }
        for tensor in manifest.tensors {
            for shard in tensor.shards { add(manifest, shard.chunks, tensor.role.rawValue, tensor.type.rawValue) }
        }
        for object in manifest.objects { add(manifest, object.chunks, "objects", "objects") }
        growth.append(Growth(id: manifest.id, run: manifest.run, step: manifest.step, logical: manifest.logicalBytes, new: new))
    }

    private mutating func see(_ manifest: Manifest, _ block: BlockRecord, _ offset: Int) -> Bool {
        let segment = manifest.segments[block.segment].name
        guard block.codec.isCast, let base = block.base else {
            return seen.insert(Place(segment: segment, block: block.offset, offset: offset)).inserted
        }
        return seen.insert(Place(segment: segment, block: manifest.blocks[base].offset, offset: offset, cast: block.location)).inserted
    }

    private mutating func add(_ manifest: Manifest, _ rows: Range<Int>, _ role: String, _ type: String) {
        for chunk in manifest.chunks[rows] {
            let block = manifest.blocks[chunk.block]
            var amount = Amount(logical: chunk.bytes)
            if see(manifest, block, chunk.offset) {
                amount.unique = chunk.bytes
                amount.stored = Double(block.storedBytes) * Double(chunk.bytes) / Double(block.rawBytes)
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
    /// Computes statistics from all manifests; reads no segment.
    ///
    /// - Parameter progress: called with the number of manifests read and the total, on this
    ///   thread.
    /// - Returns: the statistics, and the errors of manifests that cannot be read.
    /// - Throws: code `io` (the store cannot be listed).
    package func statistics(
        progress: (_ done: Int, _ total: Int) -> Void
    ) throws(CheckpointError) -> (statistics: StoreStatistics, damaged: [CheckpointError]) {
        var statistics = StoreStatistics()
        var damaged: [CheckpointError] = []
        let names = try files.names()
        for (index, name) in names.enumerated() {
            progress(index, names.count)
            do throws(CheckpointError) {
                let loaded = try files.load(name)
                statistics.add(loaded.manifest)
                statistics.manifestBytes += loaded.fileBytes
                // A checkpoint that is not found was removed since it was listed.
            } catch { if error.code != .notFound { damaged.append(error) } }
        }
        statistics.catalogBytes = size(of: directories.catalog)
        // A copy of a store may lack empty directories.
        for text in try translating("listing", { try fileSystem.listIfThere(directories.segments) }) {
            guard let segment = SegmentName(text), !statistics.knows(segment) else { continue }
            statistics.otherBytes += size(of: directories.path(of: segment))
        }
        for directory in [directories.staging, directories.quarantine] {
            for name in try translating("listing", { try fileSystem.listIfThere(directory) }) {
                statistics.otherBytes += size(of: directory.appending(name))
            }
        }
        return (statistics, damaged)
    }

    /// Returns the size of a file; 0 if it was removed since it was listed.
    private func size(of path: FilePath) -> Int { (try? fileSystem.open(path).size) ?? 0 }
}
