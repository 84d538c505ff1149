internal import CheckpointFormat
internal import CheckpointStorage

/// Contents of one segment according to the manifests. Each block and chunk is kept once,
/// regardless of how many manifests name it.
struct SegmentUse {
    struct Chunk: Hashable {
        var hash: Hash128
        /// Range in the block's raw bytes.
        var range: Range<Int>
    }

    /// Descriptions of the segment in the manifests: one, unless the manifests contradict each
    /// other.
    private(set) var references: [SegmentReference] = []
    private(set) var manifests: [ManifestName] = []
    private(set) var blocks: [SegmentBlock: Set<Chunk>] = [:]

    var fileBytes: Int { references.first?.fileBytes ?? 0 }

    mutating func add(_ reference: SegmentReference, of manifest: ManifestName) {
        if !references.contains(reference) { references.append(reference) }
        if manifests.last != manifest { manifests.append(manifest) }
    }

    mutating func add(_ block: SegmentBlock, _ chunks: [Chunk]) { blocks[block, default: []].formUnion(chunks) }
}

extension [SegmentName: SegmentUse] {
    mutating func add(_ manifest: Manifest) {
        for reference in manifest.segments {
            self[reference.name, default: SegmentUse()].add(reference, of: manifest.name)
        }
        var chunks = [[SegmentUse.Chunk]](repeating: [], count: manifest.blocks.count)
        for chunk in manifest.chunks {
            let range = chunk.offset..<chunk.offset + chunk.bytes
            chunks[chunk.block].append(SegmentUse.Chunk(hash: chunk.hash, range: range))
        }
        for (block, chunks) in zip(manifest.blocks, chunks) where !block.codec.isCast {
            self[manifest.segments[block.segment].name]?.add(block.location, chunks)
        }
    }
}
