internal import CheckpointStorage
internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments

/// Copies one checkpoint: refers to blocks that the destination holds already, and writes the
/// others. Every chunk that is written is compared with its hash first.
struct CheckpointCopier: ~Copyable {
    private let source: CheckpointStore
    private let destination: CheckpointStore?
    private let manifest: Manifest
    private let reader: BlockSource
    /// Nil in a dry run.
    private let writer: SegmentWriter?
    private let chunksOfBlock: [Int: [ChunkRecord]]
    /// Rows of the casts of each block, by the block's row.
    private let castsOfBlock: [Int: [Int]]
    private var layout = SegmentLayout()
    private var buffers = BlockSource.Buffers()
    private var stored = ScratchBuffer()
    private var spare = ScratchBuffer()
    private(set) var newBytes = 0
    private(set) var reencodedCount = 0

    /// Treatment of a block.
    private enum Fate {
        case present(CopiedBlocks.Key)
        case written(SegmentLayout.Place, SegmentBlock, base: CopiedBlocks.Key?)
        /// A cast: made from another block, which has its own treatment.
        case cast
    }

    /// Creates a copier of one checkpoint.
    ///
    /// - Parameters:
    ///   - manifest: the checkpoint's manifest in the source.
    ///   - source: the store to read from.
    ///   - destination: the store to write to; nil in a dry run for one that does not exist yet.
    ///   - attempt: id in the names of new segments.
    ///   - isDryRun: counts the bytes, and writes nothing.
    init(_ manifest: Manifest, from source: CheckpointStore, to destination: CheckpointStore?, attempt: CheckpointID, isDryRun: Bool) {
        (self.source, self.destination, self.manifest) = (source, destination, manifest)
        reader = BlockSource(store: source, manifest: manifest)
        chunksOfBlock = Dictionary(grouping: manifest.chunks, by: \.block)
        let casts = manifest.blocks.indices.filter { manifest.blocks[$0].codec.isCast }
        castsOfBlock = Dictionary(grouping: casts) { manifest.blocks[$0].base ?? $0 }
        writer = isDryRun
            ? nil
            : destination.map {
                SegmentWriter(fileSystem: $0.fileSystem, directories: $0.directories, store: $0.id, attempt: attempt, rank: 0)
            }
    }

    /// Copies the blocks.
    ///
    /// - Parameter copied: content of the destination.
    /// - Returns: the manifest for the destination.
    /// - Throws: codes `damaged`, `io`, `noSpace`, `outOfMemory`.
    mutating func run(_ copied: CopiedBlocks) throws(CheckpointError) -> Manifest {
        var fates: [Int: Fate] = [:]
        do throws(CheckpointError) {
            for row in manifest.blocks.indices { fates[row] = try fate(row, copied) }
        } catch {
            writer?.abandon()
            throw error
        }
        guard let writer, let destination else { return made(fates, copied, []) }
        let commit = CommitProtocol(
            fileSystem: destination.fileSystem, directories: destination.directories, catalog: destination.catalog)
        return try commit.commit(writer, manifest: { made(fates, copied, $0) }, durable: {}).manifest
    }

    /// Decides on a block. Nil if nothing is written for it: only blocks based on it are needed, or
    /// the destination holds its chunks in other blocks.
    private mutating func fate(_ row: Int, _ copied: CopiedBlocks) throws(CheckpointError) -> Fate? {
        let chunks = chunksOfBlock[row, default: []]
        let isHeld = chunks.allSatisfy { copied.place(of: $0) != nil }
        if manifest.blocks[row].codec.isCast { return isHeld ? nil : .cast }
        let key = CopiedBlocks.Key(row, of: manifest)
        if copied.blocks[key] != nil { return .present(key) }
        guard !isHeld || needsSource(row, copied) else { return nil }
        return try translating("copying step \(manifest.step)") { try write(row, chunks, copied) }
    }

    /// Returns true if a cast is made from the block in the destination, rather than from a chunk
    /// that the destination holds.
    private func needsSource(_ row: Int, _ copied: CopiedBlocks) -> Bool {
        castsOfBlock[row, default: []].contains { cast in
            let isHeld = chunksOfBlock[cast, default: []].allSatisfy { copied.place(of: $0) != nil }
            return !isHeld && source(of: manifest.blocks[cast]).flatMap { copied.place(of: $0) } == nil
        }
    }

    /// Returns the chunk that a cast is made from, if it is exactly one chunk.
    private func source(of cast: BlockRecord) -> ChunkRecord? {
        guard let base = cast.base else { return nil }
        return chunksOfBlock[base]?.first { $0.offset == cast.sourceRange.lowerBound && $0.bytes == cast.sourceRange.count }
    }

    private mutating func write(_ row: Int, _ chunks: [ChunkRecord], _ copied: CopiedBlocks) throws -> Fate {
        let block = manifest.blocks[row]
        let base = block.base.map { CopiedBlocks.Key($0, of: manifest) }
        // A delta stays a delta if its base is in the destination.
        let isCast = block.base.map { manifest.blocks[$0].codec.isCast } ?? false
        let isVerbatim = !isCast && base.map { copied.blocks[$0] != nil && copied.chainLength($0) < Limits.deltaChainMax } ?? true
        guard writer != nil else { return plan(block, base: isVerbatim ? base : nil, isVerbatim: isVerbatim) }
        let raw = try buffers.raw.region(atLeast: roundedUpToPage(block.rawBytes)).prefix(roundedUpToPage(block.rawBytes))
        try reader.read(row, into: raw.prefix(block.rawBytes), &buffers)
        for chunk in chunks where raw[chunk.offset..<chunk.offset + chunk.bytes].hash128 != chunk.hash {
            throw CheckpointError(.damaged, "block \(row) of step \(manifest.step) does not hold what was captured")
        }
        let (encoded, region) = isVerbatim ? try verbatim(row, raw) : try encodedAnew(row, raw)
        return try place(encoded, region, base: isVerbatim ? base : nil)
    }

    /// Reads the block as it is stored.
    private mutating func verbatim(_ row: Int, _ raw: MemoryRegion) throws -> (EncodedBlock, MemoryRegion) {
        let block = manifest.blocks[row]
        let encoded = EncodedBlock(
            codec: block.codec, rawBytes: block.rawBytes, storedBytes: block.storedBytes, storedHash: block.storedHash)
        var region = raw
        if block.codec != .raw {
            region = try stored.region(atLeast: roundedUpToPage(block.storedBytes)).prefix(roundedUpToPage(block.storedBytes))
            try reader.reader(of: row).readStored(block.location, into: region.prefix(block.storedBytes))
        }
        region[block.storedBytes..<roundedUpToPage(block.storedBytes)].fillWithZeros()
        return (encoded, region)
    }

    /// Encodes the block without its base, since the base is not copied.
    private mutating func encodedAnew(_ row: Int, _ raw: MemoryRegion) throws -> (EncodedBlock, MemoryRegion) {
        reencodedCount += 1
        let rawBytes = manifest.blocks[row].rawBytes
        let region = try spare.region(atLeast: raw.count).prefix(raw.count)
        let runs = BlockPairing(manifest, newer: manifest).runs(of: row)
        var memory = CodecMemory()
        let (block, isInSpare) = BlockEncoder(.max).encode(raw, rawBytes: rawBytes, runs: runs, memory: &memory, spare: region)
        return (block, isInSpare ? region : raw)
    }

    private mutating func place(_ block: EncodedBlock, _ region: MemoryRegion, base: CopiedBlocks.Key?) throws -> Fate {
        guard let writer else { preconditionFailure("a dry run writes nothing") }
        let place = layout.place(bytes: block.storedBytes)
        newBytes += block.storedBytes
        return .written(place, try writer.write(region, block: block, at: place), base: base)
    }

    /// Plans a write in a dry run. For a block that would be encoded again, the size is an upper
    /// bound.
    private mutating func plan(_ block: BlockRecord, base: CopiedBlocks.Key?, isVerbatim: Bool) -> Fate {
        var location = block.location
        if !isVerbatim {
            location = SegmentBlock(offset: 0, storedBytes: block.rawBytes, rawBytes: block.rawBytes, storedHash: 0, codec: .raw)
            reencodedCount += 1
        }
        let place = layout.place(bytes: location.storedBytes)
        location.offset = place.offset
        newBytes += location.storedBytes
        return .written(place, location, base: base)
    }

    private func made(_ fates: [Int: Fate], _ copied: CopiedBlocks, _ segments: [SegmentReference]) -> Manifest {
        let segments = segments.isEmpty ? plannedSegments : segments
        var table = BlockTable(segments)
        var rows: [Int: Int] = [:]
        for row in manifest.blocks.indices {
            switch fates[row] {
            case .present(let key): rows[row] = table.add(key, copied)
            case .written(let place, let location, let base):
                let base = base.map { table.add($0, copied) }
                rows[row] = table.add(location, inSegment: place.segment, base: base)
            case .cast: rows[row] = castRow(manifest.blocks[row], rows, copied, &table)
            case nil: break
            }
        }
        var made = manifest
        if let destination { made.store = destination.id }
        // What a copy comes from stays known: a run of the destination must not resume from it.
        made.recordedOrigin = manifest.origin
        for index in made.chunks.indices {
            let chunk = made.chunks[index]
            if let row = rows[chunk.block] { made.chunks[index].block = row; continue }
            guard let place = copied.place(of: chunk) else { preconditionFailure("chunk \(index) was not copied") }
            made.chunks[index].block = table.add(place.block.location, of: place.block.segment)
            made.chunks[index].offset = place.offset
        }
        (made.segments, made.blocks) = (table.segments, table.blocks)
        return made
    }

    /// Returns the row of a cast in the destination, made from the same chunk.
    private func castRow(_ cast: BlockRecord, _ rows: [Int: Int], _ copied: CopiedBlocks, _ table: inout BlockTable) -> Int {
        if let base = cast.base.flatMap({ rows[$0] }) {
            return table.addCast(cast.codec, rawBytes: cast.rawBytes, of: base, at: cast.sourceRange.lowerBound)
        }
        guard let place = source(of: cast).flatMap({ copied.place(of: $0) }) else { preconditionFailure("a cast of what was not copied") }
        let base = table.add(place.block.location, of: place.block.segment)
        return table.addCast(cast.codec, rawBytes: cast.rawBytes, of: base, at: place.offset)
    }

    /// Names for the segments that a dry run would write.
    private var plannedSegments: [SegmentReference] {
        (0..<layout.segmentCount).map {
            SegmentReference(
                name: SegmentName(attempt: manifest.id, rank: 0, number: $0), fileBytes: 2 * Limits.pageBytes,
                trailerHash: Hash128(rawValue: 0))
        }
    }
}

extension BlockTable {
    /// Adds a block of the destination, after all blocks that it is a delta of.
    fileprivate mutating func add(_ key: CopiedBlocks.Key, _ copied: CopiedBlocks) -> Int {
        guard let block = copied.blocks[key] else { preconditionFailure("a block that was not copied") }
        let base = block.base.map { add($0, copied) }
        return add(block.location, of: block.segment, base: base)
    }
}
