internal import CheckpointStorage
internal import CheckpointFormat

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

/// A fault of a segment, and the bytes that are lost by it.
struct SegmentFault {
    enum Loss {
        case nothing
        case everything
        /// All blocks that end after this offset.
        case past(Int)
        case block(Int)
        /// A range of raw bytes of the block at an offset.
        case chunk(block: Int, Range<Int>)

        /// Returns true if a range of a block is lost.
        ///
        /// - Parameters:
        ///   - block: the block.
        ///   - range: range of its raw bytes; nil means that all of it is needed.
        func includes(_ block: SegmentBlock, _ range: Range<Int>?) -> Bool {
            switch self {
            case .nothing: false
            case .everything: true
            case .past(let end): block.offset + block.storedBytes > end
            case .block(let offset): block.offset == offset
            case .chunk(let offset, let lost): block.offset == offset && range?.overlaps(lost) ?? true
            }
        }
    }

    var error: CheckpointError
    var loss: Loss
}

/// Tensors and objects that need the bytes of one segment. Computed only after a fault was found in
/// it.
struct SegmentOwners {
    private struct Owner {
        var name: String
        var isObject: Bool
        var block: SegmentBlock
        /// Range of raw bytes that is needed; nil means all of the block, for example because
        /// another block is a delta of it.
        var range: Range<Int>?
    }

    private(set) var checkpoints: [VerificationReport.Label] = []
    private var owners: [Owner] = []

    mutating func add(_ manifest: Manifest, segment: SegmentName) {
        checkpoints.append(.init(id: manifest.id, run: manifest.run, step: manifest.step))
        let rows = Set(manifest.segments.indices.filter { manifest.segments[$0].name == segment })
        func add(_ name: String, isObject: Bool, _ chunks: Range<Int>) {
            for chunk in manifest.chunks[chunks] {
                var range: Range<Int>? = chunk.offset..<chunk.offset + chunk.bytes
                for row in manifest.chain(of: chunk.block) {
                    let block = manifest.blocks[row]
                    defer { range = block.codec.isCast ? block.sourceRange : nil }
                    // A cast has no bytes in a segment.
                    guard !block.codec.isCast, rows.contains(block.segment) else { continue }
                    owners.append(Owner(name: name, isObject: isObject, block: block.location, range: range))
                }
            }
        }
        for tensor in manifest.tensors {
            for shard in tensor.shards { add(tensor.name, isObject: false, shard.chunks) }
        }
        for object in manifest.objects { add(object.name, isObject: true, object.chunks) }
    }

    /// Returns the names of the tensors and objects that lose bytes, each once, in the manifests'
    /// order.
    func losers(by loss: SegmentFault.Loss) -> (tensors: [String], objects: [String]) {
        // Compared as bytes: two spellings of one accented letter are two names.
        var seen: (tensors: Set<[UInt8]>, objects: Set<[UInt8]>) = ([], [])
        let losers = owners.filter { owner in
            guard loss.includes(owner.block, owner.range) else { return false }
            let name = Array(owner.name.utf8)
            return owner.isObject ? seen.objects.insert(name).inserted : seen.tensors.insert(name).inserted
        }
        return (losers.filter { !$0.isObject }.map(\.name), losers.filter(\.isObject).map(\.name))
    }
}
