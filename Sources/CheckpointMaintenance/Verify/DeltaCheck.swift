internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointSegments
internal import CheckpointStorage
internal import SystemPackage

/// Checks the chunks of one checkpoint that are stored as deltas or casts: decoded with their
/// bases, they must match the hashes taken at capture.
struct DeltaCheck {
    let store: CheckpointStore
    let manifest: Manifest
    /// Blocks with faults that were reported already; blocks that depend on them are not reported
    /// again.
    let lost: LostBlocks
    /// The blocks to check; nil means all of them.
    let chosen: BlockSample?

    struct Fault {
        var error: CheckpointError
        var finding: VerificationReport.Finding
    }

    func faults() -> [Fault] {
        let source = BlockSource(store: store, manifest: manifest)
        var buffers = BlockSource.Buffers()
        let chunksOfBlock = Dictionary(grouping: manifest.chunks, by: \.block)
        return chunksOfBlock.keys.sorted().filter(isToBeChecked).compactMap { row in
            do {
                let block = try source.block(row, &buffers)
                try block.check(chunksOfBlock[row, default: []])
                return nil
            } catch { return fault(row, CheckpointError(any: error, during: "decoding a delta or cast")) }
        }
    }

    private func isToBeChecked(_ row: Int) -> Bool {
        let block = manifest.blocks[row]
        guard block.base != nil else { return false }
        let first = manifest.blocks[stored(row)[0]]
        guard chosen?.contains(first.location, in: manifest.segments[first.segment].name) ?? true else { return false }
        return !stored(row).contains { lost.contains(manifest.blocks[$0], of: manifest) }
    }

    /// Returns the rows of the blocks that must be read to decode a block, nearest first. Casts are
    /// left out: they have no stored bytes.
    private func stored(_ row: Int) -> [Int] { manifest.chain(of: row).filter { !manifest.blocks[$0].codec.isCast } }

    private func fault(_ row: Int, _ error: CheckpointError) -> Fault {
        let block = manifest.blocks[stored(row)[0]]
        let path = store.directories.path(of: manifest.segments[block.segment].name).string
        var finding = VerificationReport.Finding(
            kind: error.code.meansDamage ? .damage : .unchecked, path: path, offset: block.offset,
            // Most errors name the file themselves.
            message: error.path == nil ? "\(path): \(error.message)" : error.message)
        finding.checkpoints = [.init(id: manifest.id, run: manifest.run, step: manifest.step)]
        (finding.tensors, finding.objects) = losers(by: row)
        return Fault(error: error, finding: finding)
    }

    /// Returns the names of tensors and objects that need a block, directly or as a base.
    private func losers(by row: Int) -> (tensors: [String], objects: [String]) {
        func needs(_ chunks: Range<Int>) -> Bool { manifest.chunks[chunks].contains { manifest.chain(of: $0.block).contains(row) } }
        return (
            manifest.tensors.filter { $0.shards.contains { needs($0.chunks) } }.map(\.name),
            manifest.objects.filter { needs($0.chunks) }.map(\.name)
        )
    }
}
