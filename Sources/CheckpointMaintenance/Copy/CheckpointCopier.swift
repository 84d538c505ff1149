internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage

/// Copies one checkpoint: refers to blocks that the destination already has, and writes the
/// others. Every chunk that is written is compared with its hash first.
struct CheckpointCopier: ~Copyable {
    private let source: CheckpointStore
    private let destination: CheckpointStore?
    private let manifest: Manifest
    private let reader: BlockSource
    private let appender: BlockAppender
    private let cancellation: Cancellation
    private let chunksOfBlock: [Int: [ChunkRecord]]
    /// Rows of the casts of each block, by the block's row.
    private let castsOfBlock: [Int: [Int]]
    private var buffers = BlockSource.Buffers()
    private var stored = ScratchBuffer()
    private var spare = ScratchBuffer()
    private(set) var newBytes = 0
    /// Greatest number of reads of blocks of the source so far.
    private(set) var readCount = 0
    private(set) var reencodedCount = 0

    /// Treatment of a block.
    private enum Fate {
        case present(BlockID)
        case written(PlacedBlock, base: BlockID?)
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
    ///   - cancellation: asked before each block.
    init(
        _ manifest: Manifest, from source: CheckpointStore, to destination: CheckpointStore?,
        attempt: CheckpointID, isDryRun: Bool, cancellation: Cancellation
    ) {
        self.cancellation = cancellation
        (self.source, self.destination, self.manifest) = (source, destination, manifest)
        reader = BlockSource(store: source, manifest: manifest)
        chunksOfBlock = Dictionary(grouping: manifest.chunks, by: \.block)
        let casts = manifest.blocks.indices.filter { manifest.blocks[$0].codec.isCast }
        castsOfBlock = Dictionary(grouping: casts) { manifest.blocks[$0].base ?? $0 }
        appender = BlockAppender(
            isDryRun ? nil : destination?.segmentWriter(attempt: attempt))
    }

    /// Copies the blocks.
    ///
    /// - Parameters:
    ///   - copied: content of the destination.
    ///   - progress: called with the part that is done, from 0 to 1.
    /// - Returns: the manifest for the destination.
    /// - Throws: codes `damaged`, `io`, `noSpace`, `outOfMemory`, `cancelled`.
    mutating func run(
        _ copied: CopiedBlocks, _ progress: (Double) -> Void
    ) throws(CheckpointError) -> Manifest {
        var fates: [Int: Fate] = [:]
        do throws(CheckpointError) {
            for row in manifest.blocks.indices {
                try cancellation.check(
                    "the copy of step \(manifest.step)",
                    remedy: "Run the command again to continue; checkpoints copied so far are complete")
                fates[row] = try fate(row, copied)
                progress(Double(row + 1) / Double(manifest.blocks.count))
            }
        } catch {
            appender.abandon()
            throw error
        }
        guard let writer = appender.writer, let destination else { return made(fates, copied, []) }
        let commit = CommitProtocol(
            fileSystem: destination.fileSystem, directories: destination.directories,
            catalog: destination.catalog)
        let sealed = try CommitProtocol.seal(writer)
        let made = made(fates, copied, sealed.references)
        try commit.publish(made, of: sealed)
        return made
    }

    /// Decides on a block. Nil if nothing is written for it: only blocks based on it are needed, or
    /// the destination holds its chunks in other blocks.
    private mutating func fate(_ row: Int, _ copied: CopiedBlocks) throws(CheckpointError) -> Fate?
    {
        let chunks = chunksOfBlock[row, default: []]
        let isHeld = chunks.allSatisfy { copied.place(of: $0) != nil }
        if manifest.blocks[row].codec.isCast { return isHeld ? nil : .cast }
        let id = BlockID(manifest.blocks[row], in: manifest.segments)
        if copied.blocks[id] != nil { return .present(id) }
        guard !isHeld || needsSource(row, copied) else { return nil }
        return try translating("copying step \(manifest.step)") { try write(row, chunks, copied) }
    }

    /// Returns true if a cast is made from the block in the destination, rather than from a chunk
    /// that the destination holds.
    private func needsSource(_ row: Int, _ copied: CopiedBlocks) -> Bool {
        castsOfBlock[row, default: []].contains { cast in
            let isHeld = chunksOfBlock[cast, default: []].allSatisfy { copied.place(of: $0) != nil }
            return !isHeld
                && source(of: manifest.blocks[cast]).flatMap { copied.place(of: $0) } == nil
        }
    }

    /// Returns the chunk that a cast is made from, if it is exactly one chunk.
    private func source(of cast: BlockRecord) -> ChunkRecord? {
        guard let base = cast.base else { return nil }
        return chunksOfBlock[base]?.first {
            $0.offset == cast.sourceRange.lowerBound && $0.bytes == cast.sourceRange.count
        }
    }

    private mutating func write(_ row: Int, _ chunks: [ChunkRecord], _ copied: CopiedBlocks) throws
        -> Fate
    {
        let block = manifest.blocks[row]
        let base = block.base.map { BlockID(manifest.blocks[$0], in: manifest.segments) }
        // A delta stays a delta if its base is in the destination.
        let isCast = block.base.map { manifest.blocks[$0].codec.isCast } ?? false
        let isVerbatim =
            !isCast
            && base.map {
                copied.blocks[$0] != nil && copied.chainLength($0) < Limits.deltaChainMax
            } ?? true
        readCount += readsMax(of: row)
        guard appender.writer != nil else {
            return plan(block, base: isVerbatim ? base : nil, isVerbatim: isVerbatim)
        }
        let raw = try buffers.raw.pages(for: block.rawBytes)
        try reader.block(row, into: raw.prefix(block.rawBytes), &buffers).check(chunks)
        let (encoded, region) = isVerbatim ? try verbatim(row, raw) : try encodedAnew(row, raw)
        newBytes += encoded.storedBytes
        return .written(try appender.append(encoded, region), base: isVerbatim ? base : nil)
    }

    /// Returns the greatest number of reads that a block takes: itself and the blocks that it is
    /// based on to check it, and once more to copy it.
    private func readsMax(of row: Int) -> Int {
        var count = 2
        var base = manifest.blocks[row].base
        while let next = base {
            count += 1
            base = manifest.blocks[next].base
        }
        return count
    }

    /// Reads the block as it is stored.
    private mutating func verbatim(_ row: Int, _ raw: MemoryRegion) throws -> (
        EncodedBlock, MemoryRegion
    ) {
        let block = manifest.blocks[row]
        var region = raw
        if block.codec != .raw {
            region = try stored.pages(for: block.storedBytes)
            try reader.readStored(row, into: region.prefix(block.storedBytes))
        }
        region[block.storedBytes..<roundedUpToPage(block.storedBytes)].fillWithZeros()
        // Of a raw block only the chunks were checked, not the bytes between them.
        let encoded = EncodedBlock(
            codec: block.codec, rawBytes: block.rawBytes, storedBytes: block.storedBytes,
            storedHash: region.prefix(block.storedBytes).hash64)
        return (encoded, region)
    }

    /// Encodes the block without its base, since the base is not copied.
    private mutating func encodedAnew(_ row: Int, _ raw: MemoryRegion) throws -> (
        EncodedBlock, MemoryRegion
    ) {
        reencodedCount += 1
        let rawBytes = manifest.blocks[row].rawBytes
        let region = try spare.bytes(raw.count)
        let runs = BlockPairing(manifest, newer: manifest).runs(of: row)
        var memory = CodecMemory()
        let (block, isInSpare) = BlockEncoder(.max).encode(
            raw, rawBytes: rawBytes, runs: runs, memory: &memory, spare: region)
        return (block, isInSpare ? region : raw)
    }

    /// Plans a write in a dry run. For a block that would be encoded again, the size is an upper
    /// bound.
    private mutating func plan(_ block: BlockRecord, base: BlockID?, isVerbatim: Bool) -> Fate {
        var encoded = EncodedBlock(block.location)
        if !isVerbatim {
            encoded = EncodedBlock(
                codec: .raw, rawBytes: block.rawBytes, storedBytes: block.rawBytes, storedHash: 0)
            reencodedCount += 1
        }
        newBytes += encoded.storedBytes
        return .written(appender.plan(encoded), base: base)
    }

    private func made(_ fates: [Int: Fate], _ copied: CopiedBlocks, _ segments: [SegmentReference])
        -> Manifest
    {
        let segments = segments.isEmpty ? plannedSegments : segments
        var table = BlockTable(segments)
        var rows: [Int: Int] = [:]
        for row in manifest.blocks.indices {
            switch fates[row] {
            case .present(let id): rows[row] = table.add(id, copied)
            case .written(let block, let base):
                let base = base.map { table.add($0, copied) }
                rows[row] = table.add(block, base: base)
            case .cast: rows[row] = castRow(manifest.blocks[row], rows, copied, &table)
            case nil: break
            }
        }
        var made = manifest
        if let destination {
            made.store = destination.id
            made.transferCheck = destination.fileSystem.transferCheck
        }
        // The origin of a copy stays known: a run of the destination must not resume from it.
        made.recordedOrigin = manifest.origin
        for index in made.chunks.indices {
            let chunk = made.chunks[index]
            if let row = rows[chunk.block] {
                made.chunks[index].block = row
                continue
            }
            guard let place = copied.place(of: chunk) else {
                preconditionFailure("chunk \(index) was not copied")
            }
            made.chunks[index].block = table.add(place.block.location, of: place.block.segment)
            made.chunks[index].offset = place.offset
        }
        (made.segments, made.blocks) = (table.segments, table.blocks)
        return made
    }

    /// Returns the row of a cast in the destination, made from the same chunk.
    private func castRow(
        _ cast: BlockRecord, _ rows: [Int: Int], _ copied: CopiedBlocks, _ table: inout BlockTable
    ) -> Int {
        if let base = cast.base.flatMap({ rows[$0] }) {
            return table.addCast(
                cast.codec, rawBytes: cast.rawBytes, of: base, at: cast.sourceRange.lowerBound)
        }
        guard let place = source(of: cast).flatMap({ copied.place(of: $0) }) else {
            preconditionFailure("a cast of what was not copied")
        }
        let base = table.add(place.block.location, of: place.block.segment)
        return table.addCast(cast.codec, rawBytes: cast.rawBytes, of: base, at: place.offset)
    }

    /// Names for the segments that a dry run would write.
    private var plannedSegments: [SegmentReference] {
        (0..<appender.segmentCount).map {
            SegmentReference(
                name: SegmentName(attempt: manifest.id, rank: 0, number: $0),
                fileBytes: 2 * Limits.pageBytes,
                trailerHash: Hash128(rawValue: 0))
        }
    }
}

extension BlockTable {
    /// Adds a block of the destination, after all blocks that it is a delta of.
    fileprivate mutating func add(_ id: BlockID, _ copied: CopiedBlocks) -> Int {
        guard let block = copied.blocks[id] else {
            preconditionFailure("a block that was not copied")
        }
        let base = block.base.map { add($0, copied) }
        return add(block.location, of: block.segment, base: base)
    }
}
