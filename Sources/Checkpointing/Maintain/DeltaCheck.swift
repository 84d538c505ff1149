internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointSegments
internal import SystemPackage

/// Blocks that are known to be lost, wholly or in part.
struct LostBlocks {
    private var faults: [SegmentName: [SegmentFault.Loss]] = [:]

    mutating func add(_ faults: [SegmentFault], _ segment: SegmentName) {
        if !faults.isEmpty { self.faults[segment, default: []] += faults.map(\.loss) }
    }

    func contains(_ block: BlockRecord, of manifest: Manifest) -> Bool {
        faults[manifest.segments[block.segment].name, default: []].contains { $0.includes(block.location, nil) }
    }
}

/// Checks the chunks of one checkpoint that are stored as deltas: read with their bases, they must have the hash taken at capture.
struct DeltaCheck {
    let store: CheckpointStore
    let manifest: Manifest
    /// Told of already.
    let lost: LostBlocks
    /// Nil: all of them.
    let chosen: BlockSample?

    func findings() -> [VerificationReport.Finding] {
        let source = BlockSource(store: store, manifest: manifest)
        var buffers = BlockSource.Buffers()
        let chunksOfBlock = Dictionary(grouping: manifest.chunks, by: \.block)
        return chunksOfBlock.keys.sorted().filter(isToBeChecked).compactMap { row in
            do {
                let raw = try buffers.raw.region(atLeast: manifest.blocks[row].rawBytes).prefix(manifest.blocks[row].rawBytes)
                try source.read(row, into: raw, &buffers)
                let isWhole = chunksOfBlock[row, default: []].allSatisfy { raw[$0.offset..<$0.offset + $0.bytes].hash128 == $0.hash }
                return isWhole ? nil : finding(row, CheckpointError(.damaged, "what it decodes to is not what was captured"))
            } catch { return finding(row, CheckpointError(any: error, during: "a delta")) }
        }
    }

    private func isToBeChecked(_ row: Int) -> Bool {
        let block = manifest.blocks[row]
        guard chosen?.contains(block.location, in: manifest.segments[block.segment].name) ?? true else { return false }
        return block.base != nil && !manifest.chain(of: row).contains { lost.contains(manifest.blocks[$0], of: manifest) }
    }

    private func finding(_ row: Int, _ error: CheckpointError) -> VerificationReport.Finding {
        let block = manifest.blocks[row]
        let segment = manifest.segments[block.segment].name
        let path = store.directories.path(of: segment).string
        var finding = VerificationReport.Finding(
            kind: error.code == .damaged ? .damage : .unchecked, path: path, offset: block.offset,
            message: "\(path): block at offset \(block.offset): \(error.message)")
        var owners = SegmentOwners()
        owners.add(manifest, segment: segment)
        finding.checkpoints = owners.checkpoints
        (finding.tensors, finding.objects) = owners.losers(by: .block(block.offset))
        return finding
    }
}
