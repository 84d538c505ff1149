package import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO
internal import SystemPackage

/// Writer of the segments of one rank's save: steps W1 to W5 of Formats/durability.md.
///
/// Several threads write blocks, at places that a `SegmentLayout` has assigned. The first failure
/// poisons the writer: none of its segments can be sealed after that.
///
/// Blocks are written without the lock. I/O under it does no harm: a segment is created once, and
/// when segments are sealed or removed, no thread writes any more. The trainer's thread never takes
/// the lock.
package final class SegmentWriter: Sendable {
    private struct OpenSegment {
        var file: any WritableFile
        /// True for a spare file, which may be longer than the new segment.
        var isReused: Bool
        var blocks: [SegmentBlock]
    }

    private enum Phase {
        case open
        /// All segments are complete, or are being completed.
        case sealed
        /// A write failed, with this error, or the attempt was given up.
        case failed(FileSystemError?)
    }

    private struct State {
        /// Open segments by number; nil until the first write to a segment.
        var segments: [OpenSegment?] = []
        var phase = Phase.open

        /// Checks that nothing has failed. Every thread gets the first error: any thread's error
        /// may be the one that a person sees.
        func requireOpen() throws(SegmentError) {
            switch phase {
            case .open: return
            case .failed(let error?): throw .io(error)
            case .failed(nil), .sealed: throw .poisoned
            }
        }

        /// Notes the first error.
        mutating func fail(_ error: FileSystemError?) {
            if case .failed(_?) = phase { return }
            phase = .failed(error)
        }
    }

    private let fileSystem: any FileSystem
    private let directories: StoreDirectories
    private let store: StoreID
    private let attempt: CheckpointID
    private let rank: Int
    private let blockCount: Int
    private let pool: SegmentPool?
    private let state = Monitor(State(), rank: .writer)
    private let recycled = Monitor(0)

    /// Size of the spare files that are written over, in bytes. Any thread.
    package var recycledBytes: Int { recycled.withLock { $0 } }

    /// Creates a writer. No file is created before the first block is written.
    ///
    /// - Parameters:
    ///   - fileSystem: The file system.
    ///   - directories: The store's directories.
    ///   - store: The store's id, for the headers.
    ///   - attempt: The attempt that the segments belong to.
    ///   - rank: The rank that the segments belong to.
    ///   - blockCount: Expected number of blocks, for which memory is reserved.
    ///   - pool: Spare files to overwrite; nil creates new files only.
    package init(
        fileSystem: any FileSystem, directories: StoreDirectories, store: StoreID, attempt: CheckpointID, rank: Int,
        blockCount: Int = 0, pool: SegmentPool? = nil
    ) {
        self.pool = pool
        self.blockCount = blockCount
        self.fileSystem = fileSystem
        self.directories = directories
        self.store = store
        self.attempt = attempt
        self.rank = rank
    }

    private func name(_ number: Int) -> SegmentName { SegmentName(attempt: attempt, rank: rank, number: number) }

    /// Returns true if a segment has a name that only this writer gives.
    func names(_ segment: SegmentReference) -> Bool {
        segment.name.attempt == attempt && segment.name.rank == rank
    }

    /// Writes a block (step W1). Several threads may call this at the same time.
    ///
    /// - Parameters:
    ///   - region: Memory that begins with the stored bytes, followed by zeros up to a whole page.
    ///   - block: The encoded block, at the place that `SegmentLayout` has assigned to it.
    /// - Throws: `.io`, which poisons the writer: later calls throw the same; `.poisoned` if the
    ///   writer was sealed or abandoned.
    package func write(_ region: MemoryRegion, as block: PlacedBlock) throws(SegmentError) {
        let padded = region.prefix(roundedUpToPage(block.location.storedBytes))
        let file = try file(ofSegment: block.segment, for: block.location)
        do {
            unsafe try file.write(padded.bytes, at: block.location.offset)
        } catch {
            state.withLock { $0.fail(error) }
            throw .io(error)
        }
    }

    /// Returns the open file of a segment, and enters a block in its index. If the write of the
    /// block then fails, the writer is poisoned, and the index is never written. The first thread
    /// that needs the file creates it, with its header page, under the lock: most of the others
    /// would wait for that file anyway.
    private func file(
        ofSegment number: Int, for block: SegmentBlock
    ) throws(SegmentError) -> any WritableFile {
        try state.withLock { state throws(SegmentError) in
            try state.requireOpen()
            // The file alone: a copy of the segment would make the append copy its index.
            if number < state.segments.count, let file = state.segments[number]?.file {
                state.segments[number]?.blocks.append(block)
                return file
            }
            do throws(FileSystemError) {
                let path = directories.staging.appending(name(number).description)
                let spare = pool?.take(as: path)
                recycled.withLock { $0 += spare?.bytes ?? 0 }
                let file = if let spare { spare.file } else { try fileSystem.create(path) }
                var blocks: [SegmentBlock] = []
                blocks.reserveCapacity(blockCount)
                blocks.append(block)
                let missing = max(number + 1 - state.segments.count, 0)
                state.segments += [OpenSegment?](repeating: nil, count: missing)
                state.segments[number] = OpenSegment(file: file, isReused: spare != nil, blocks: blocks)
                try file.write(SegmentHeader(name: name(number), store: store).encoded(digest: Hashing.digest), at: 0)
                return file
            } catch {
                state.fail(error)
                throw .io(error)
            }
        }
    }

    /// Completes all segments and makes them durable under their final names (steps W2 to W5). Call
    /// it after the last `write`, so that no thread waits for the lock, which is held during the
    /// writes, fsyncs and uploads; the writer is unusable afterwards.
    ///
    /// - Returns: The segments.
    /// - Throws: `.io`, also that of an earlier call; `.poisoned` if the writer was sealed or
    ///   abandoned.
    package func seal() throws(SegmentError) -> SealedSegments {
        let references = try state.withLock { state throws(SegmentError) -> [SegmentReference] in
            try state.requireOpen()
            state.phase = .sealed
            var references: [SegmentReference] = []
            for case (let number, let open?) in state.segments.enumerated() { references.append(try seal(number, open)) }
            if !references.isEmpty {
                try wrappingIO { () throws(FileSystemError) in try fileSystem.syncDirectory(directories.segments) }
            }
            return references
        }
        return SealedSegments(references, of: self)
    }

    private func seal(_ number: Int, _ open: OpenSegment) throws(SegmentError) -> SegmentReference {
        let blocks = open.blocks.sorted { $0.offset < $1.offset }
        let (index, bytes) = SegmentIndex.encoded(blocks: blocks, digest: Hashing.digest)
        let name = name(number)
        try wrappingIO { () throws(FileSystemError) in
            defer { open.file.close() }
            try open.file.write(bytes, at: index.indexOffset)
            if open.isReused { try open.file.truncate(to: index.fileBytes) }
            try open.file.sync()
            let staged = directories.staging.appending(name.description)
            try fileSystem.link(staged, to: directories.segments.appending(name.description))
            try fileSystem.remove(staged)
        }
        return SegmentReference(name: name, fileBytes: index.fileBytes, trailerHash: index.trailerHash)
    }

    /// Removes the files of an unfinished save. Files that cannot be removed are left to recovery.
    package func abandon() {
        state.withLock { state in
            state.fail(nil)
            for case (let number, let open?) in state.segments.enumerated() {
                open.file.close()
                for directory in [directories.staging, directories.segments] {
                    // Usually the file exists in only one of the two directories. After any other
                    // failure, only orphan files remain.
                    try? fileSystem.remove(directory.appending(name(number).description))
                }
            }
            state.segments = []
        }
    }
}
