internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage
internal import SystemPackage

/// Checks one segment against its own hashes, and against the manifests that name it.
struct SegmentCheck {
    private let name: SegmentName
    private let use: SegmentUse
    private let path: FilePath
    private let verifier: SegmentVerifier
    private var index: SegmentIndex?
    /// Size of the file; nil if it does not exist.
    private var end: Int?
    private(set) var faults: [SegmentFault] = []
    private(set) var checkedBytes = 0

    init(store: CheckpointStore, name: SegmentName, use: SegmentUse) {
        self.name = name
        self.use = use
        path = store.directories.path(of: name)
        verifier = SegmentVerifier(fileSystem: store.fileSystem, directories: store.directories)
    }

    /// Checks header, index and trailer, and compares them with the manifests.
    mutating func structure() {
        do throws(SegmentError) {
            let end = try verifier.fileBytes(of: name)
            self.end = end
            guard let expected = use.references.map(\.fileBytes).first(where: { $0 != end }) else {
                return try compareIndex()
            }
            fault(
                "the segment has \(end) bytes, not \(expected)", at: min(end, expected),
                end < expected ? .past(end) : .nothing)
        } catch {
            // A damaged structure loses no bytes, since blocks are read through the manifests. A
            // missing file loses all.
            faults.append(
                SegmentFault(error: described(error), loss: end == nil ? .everything : .nothing))
        }
    }

    private func described(_ error: SegmentError) -> CheckpointError {
        var error = CheckpointError(error)
        if error.code == .notFound { error.message = "\(path): the segment is missing" }
        return error
    }

    private mutating func compareIndex() throws(SegmentError) {
        let index = try verifier.structure(of: name)
        self.index = index
        if use.references.contains(where: { $0.trailerHash != index.trailerHash }) {
            fault(
                "the segment is not the committed one: its trailer hash differs",
                at: index.fileBytes - 16,
                .nothing)
        }
        let rows = Set(index.blocks)
        for block in use.blocks.keys.filter({ !rows.contains($0) }).sorted(by: {
            $0.offset < $1.offset
        }) {
            fault(
                "the entry of this block in the segment's index differs from the manifests",
                at: block.offset, .nothing)
        }
    }

    private mutating func fault(_ message: String, at offset: Int, _ loss: SegmentFault.Loss) {
        let error = CheckpointError(
            .damaged, "\(path): \(message)", path: path.string, offset: offset)
        faults.append(SegmentFault(error: error, loss: loss))
    }

    /// Checks every block that the index or a manifest names: stored hash, padding, decoding, and
    /// the hash of each chunk.
    ///
    /// - Parameters:
    ///   - isChosen: returns true for the blocks to read.
    ///   - progress: called with the bytes read so far.
    mutating func contents(where isChosen: (SegmentBlock) -> Bool, _ progress: (Int) -> Void) {
        guard let end else { return }
        let blocks = Set(index?.blocks ?? []).union(use.blocks.keys).filter {
            $0.offset + $0.storedBytes <= end && isChosen($0)
        }
        var found: [SegmentFault] = []
        var checked = 0
        var scratch = ScratchBuffer()
        do throws(SegmentError) {
            try verifier.contents(
                of: name, blocks: blocks.sorted { $0.offset < $1.offset },
                progress: {
                    checked += $0
                    progress(checked)
                },
                found: { error, block, stored in
                    let loss = block.map { SegmentFault.Loss.block($0.offset) } ?? .nothing
                    let fault = SegmentFault(error: CheckpointError(error), loss: loss)
                    found += parts(of: fault, block, stored, &scratch) ?? [fault]
                },
                whole: { block, stored in found += chunkFaults(block, stored, &scratch) })
        } catch { found.append(SegmentFault(error: described(error), loss: .everything)) }
        faults += found
        checkedBytes = checked
    }

    /// Returns the faults of the chunks of a damaged raw block, which do not need each other; nil if
    /// the complete block is lost.
    private func parts(
        of fault: SegmentFault, _ block: SegmentBlock?, _ stored: MemoryRegion?,
        _ scratch: inout ScratchBuffer
    ) -> [SegmentFault]? {
        guard let block, let stored, block.codec == .raw, let chunks = use.blocks[block] else {
            return nil
        }
        let faults = chunkFaults(block, stored, &scratch)
        guard faults.count < chunks.count else { return nil }
        // The damaged bytes are in no chunk.
        return faults.isEmpty ? [SegmentFault(error: fault.error, loss: .nothing)] : faults
    }

    private func chunkFaults(
        _ block: SegmentBlock, _ stored: MemoryRegion, _ scratch: inout ScratchBuffer
    ) -> [SegmentFault] {
        // A delta cannot be decoded without its base, which only a manifest names: see
        // `DeltaCheck`.
        if block.codec == .delta { return [] }
        do {
            let decoded = try DecodedBlock(block, stored: stored, path: path, scratch: &scratch)
            let chunks = use.blocks[block, default: []].sorted {
                $0.range.lowerBound < $1.range.lowerBound
            }
            return chunks.compactMap { chunk in
                decoded.mismatch(chunk.range, hash: chunk.hash).map { mismatch in
                    SegmentFault(
                        error: mismatch.checkpointError,
                        loss: .chunk(block: block.offset, chunk.range))
                }
            }
        } catch {
            return [SegmentFault(error: CheckpointError(error), loss: .block(block.offset))]
        }
    }
}
