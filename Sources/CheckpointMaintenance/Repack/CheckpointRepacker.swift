internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage
internal import SystemPackage

/// Repacks one checkpoint (Formats/durability.md, Maintenance): encodes the blocks again that only
/// it names, reads the result back, and only then replaces the manifest.
struct CheckpointRepacker {
    let store: CheckpointStore
    let older: ManifestFiles.Loaded
    let newer: Manifest
    let options: RepackOptions

    /// A block that was encoded again.
    private struct Repacked {
        var block: PlacedBlock
        /// Row of the newer checkpoint's block; nil if the block is not a delta.
        var base: Int?
    }

    private struct Progress {
        var next = 0
        var done: [Int: Repacked] = [:]
        var failure: CheckpointError?
    }

    private var manifest: Manifest { older.manifest }

    /// Treatment of a block of the older checkpoint.
    private enum Fate {
        case stays
        /// Replaced by a block of the newer checkpoint with the same bytes.
        case same(Int)
        case repacked(base: Int?)
    }

    /// Repacks the checkpoint, on several threads; returns when all have ended. The maintenance
    /// lock is held.
    ///
    /// - Parameter uses: uses of all blocks of the store.
    /// - Returns: the manifest that replaced the old one, or nil if it stays, and the result for
    ///   the report.
    /// - Throws: codes `damaged`, `io`, `noSpace`, `outOfMemory`, `cancelled`.
    func run(_ uses: BlockUses) throws(CheckpointError) -> (manifest: Manifest?, report: RepackReport.Checkpoint) {
        let pairing = BlockPairing(manifest, newer: newer)
        let fates = manifest.blocks.indices.map { fate($0, uses, pairing) }
        let rows = fates.indices.filter { if case .repacked = fates[$0] { true } else { false } }
        var report = RepackReport.Checkpoint(manifest)
        let gone = fates.indices.filter { if case .stays = fates[$0] { false } else { true } }
        report.bytesBefore = gone.reduce(0) { $0 + roundedUpToPage(manifest.blocks[$1].storedBytes) }
        guard !gone.isEmpty else { return (nil, report) }

        let writer = store.segmentWriter(attempt: .random(), blockCount: rows.count)
        let appender = BlockAppender(options.isDryRun ? nil : writer)
        let changed: Manifest
        let sealed: SealedSegments
        do throws(CheckpointError) {
            let repacked = try write(rows, fates, pairing, appender)
            report.bytesAfter = repacked.values.reduce(0) {
                $0 + roundedUpToPage($1.block.location.storedBytes)
            }
            report.deltaCount = repacked.values.count { $0.base != nil }
            report.blockCount = gone.count
            guard !options.isDryRun, report.bytesAfter < report.bytesBefore else {
                writer.abandon()
                return (nil, report)
            }
            sealed = try translating("sealing") { try writer.seal() }
            changed = self.changed(fates, repacked, sealed.references)
            try check(changed, sealed.references)
        } catch {
            writer.abandon()
            throw error
        }
        return (try replace(with: changed, of: sealed) ? changed : nil, report)
    }

    private func fate(_ row: Int, _ uses: BlockUses, _ pairing: BlockPairing) -> Fate {
        let block = manifest.blocks[row]
        guard !block.codec.isCast else { return .stays }
        // Blocks that were repacked before stay as they are, and so do blocks that other manifests
        // name.
        guard uses.isUnique(block, manifest.segments), manifest.segments[block.segment].name.attempt == manifest.id else { return .stays }
        guard let partner = pairing.partner(of: row) else { return .repacked(base: nil) }
        if partner.isSame { return .same(partner.row) }
        let isTooDeep = BlockRecord.chainLength(partner.row, newer.blocks) >= min(options.chainMax, Limits.deltaChainMax)
        return .repacked(base: isTooDeep ? nil : partner.row)
    }

    // MARK: Writing

    private func write(
        _ rows: [Int], _ fates: [Fate], _ pairing: BlockPairing, _ appender: BlockAppender
    ) throws(CheckpointError) -> [Int: Repacked] {
        let state = Monitor(Progress())
        let (older, newer) = (BlockSource(store: store, manifest: manifest), BlockSource(store: store, manifest: newer))
        try onThreads(min(options.threads, max(rows.count, 1))) {
            var repacker = BlockRepacker(older: older, newer: newer)
            while let row = state.withLock({ state -> Int? in
                guard state.failure == nil, state.next < rows.count else { return nil }
                defer { state.next += 1 }
                return rows[state.next]
            }) {
                do {
                    try options.cancellation.check(
                        "the repack of step \(manifest.step)", remedy: "Run the command again to continue")
                    try repack(row, fates[row], pairing, &repacker, state, appender)
                } catch {
                    let error = CheckpointError(any: error, during: "repacking step \(manifest.step)")
                    state.withLock { $0.failure = $0.failure ?? error }
                }
            }
        }
        return try state.withLock { state throws(CheckpointError) in
            if let failure = state.failure { throw failure }
            return state.done
        }
    }

    private func repack(
        _ row: Int, _ fate: Fate, _ pairing: BlockPairing, _ repacker: inout BlockRepacker, _ state: borrowing Monitor<Progress>,
        _ appender: BlockAppender
    ) throws {
        guard case .repacked(let base) = fate else { return }
        let rawBytes = manifest.blocks[row].rawBytes
        let (block, region, isDelta) = try repacker.repack(row, rawBytes: rawBytes, base: base, runs: pairing.runs(of: row))
        let placed = try appender.append(block, region)
        state.withLock { $0.done[row] = Repacked(block: placed, base: isDelta ? base : nil) }
    }

    private func onThreads(_ count: Int, _ body: @escaping @Sendable () -> Void) throws(CheckpointError) {
        var threads: [WorkerThread] = []
        defer { for thread in threads { thread.join() } }
        for index in 0..<count {
            do { threads.append(try WorkerThread(name: "ckpt-repack-\(index)") { body() }) } catch {
                // If not all threads start, those that did carry on.
                guard threads.isEmpty else { return }
                throw CheckpointError(any: error, during: "repack")
            }
        }
    }

    // MARK: The new manifest

    private func changed(_ fates: [Fate], _ repacked: [Int: Repacked], _ segments: [SegmentReference]) -> Manifest {
        var table = BlockTable(segments)
        var rows: [Int] = []
        for (row, fate) in fates.enumerated() {
            switch fate {
            case .stays: rows.append(table.add(row, of: manifest) { rows[$0] })
            case .same(let row): rows.append(table.add(row, of: newer))
            case .repacked:
                guard let new = repacked[row] else { preconditionFailure("block \(row) was not repacked") }
                let base = new.base.map { table.add($0, of: newer) }
                rows.append(table.add(new.block, base: base))
            }
        }
        var changed = manifest
        (changed.segments, changed.blocks) = (table.segments, table.blocks)
        for index in changed.chunks.indices { changed.chunks[index].block = rows[changed.chunks[index].block] }
        return changed
    }

    /// Reads the new blocks back, with their bases, and compares them with the hashes taken at
    /// capture.
    private func check(_ changed: Manifest, _ segments: [SegmentReference]) throws(CheckpointError) {
        // The manifest must be valid for the readers that will decode it.
        let bytes = changed.encoded(digest: Hashing.digest)
        do { _ = try Manifest(decoding: bytes[...], digest: Hashing.digest) } catch {
            throw CheckpointError(error, path: store.directories.path(of: changed.name).string)
        }
        let source = BlockSource(store: store, manifest: changed)
        let own = Set(segments.map(\.name))
        let chunksOfBlock = Dictionary(grouping: changed.chunks, by: \.block)
        try translating("reading back step \(changed.step)") {
            var buffers = BlockSource.Buffers()
            for (row, chunks) in chunksOfBlock.sorted(by: { $0.key < $1.key })
            where own.contains(changed.segments[changed.blocks[row].segment].name) {
                try source.block(row, &buffers).check(chunks)
            }
        }
    }

    /// Replaces the manifest: steps M2 to M5.
    ///
    /// - Returns: false if a save in flight or a reader has the old manifest locked: it stays.
    private func replace(
        with changed: Manifest, of sealed: SealedSegments
    ) throws(CheckpointError) -> Bool {
        let commit = CommitProtocol(fileSystem: store.fileSystem, directories: store.directories, catalog: store.catalog)
        return try commit.replace(manifest, with: changed, of: sealed)
    }
}

extension BlockTable {
    /// Adds a block of a manifest, after all blocks that it is made from.
    ///
    /// - Parameters:
    ///   - row: the block's row in `manifest`.
    ///   - manifest: the manifest.
    ///   - castBase: returns the new row of the block that a cast is made from, given its old row;
    ///     by default that block is added too.
    /// - Returns: the block's new row.
    mutating func add(_ row: Int, of manifest: Manifest, castBase: ((Int) -> Int)? = nil) -> Int {
        let block = manifest.blocks[row]
        let base = block.base.map { base in block.codec.isCast ? castBase?(base) ?? add(base, of: manifest) : add(base, of: manifest) }
        return add(block.location, of: manifest.segments[block.segment], base: base)
    }
}
