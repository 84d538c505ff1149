internal import CheckpointStorage
internal import CheckpointFormat

/// What the manifests say of one segment, each thing kept once however many manifests say it.
struct SegmentUse {
    struct Chunk: Hashable {
        var hash: Hash128
        /// In the block's raw bytes.
        var range: Range<Int>
    }

    /// The segment as its manifests describe it: one description unless they contradict each other.
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

/// Something wrong with a segment, and which of its bytes are lost by it.
struct SegmentFault {
    enum Loss {
        case nothing
        case everything
        /// The blocks that do not end by this offset.
        case past(Int)
        case block(Int)
        /// Some raw bytes of the block at an offset.
        case chunk(block: Int, Range<Int>)

        /// - Parameter range: of raw bytes; nil means that all of the block is needed.
        func includes(_ block: SegmentBlock, _ range: Range<Int>?) -> Bool {
            switch self {
            case .nothing: false
            case .everything: true
            case .past(let end): block.offset + block.storedBytes > end
            case .block(let offset): block.offset == offset
            case .chunk(let offset, let lost): block.offset == offset && (range == nil || range == lost)
            }
        }
    }

    var error: CheckpointError
    var loss: Loss
}

/// Who needs which bytes of one segment: looked up only once something is wrong with it.
struct SegmentOwners {
    private struct Owner {
        var name: String
        var isObject: Bool
        var block: SegmentBlock
        /// Nil: of all of it, perhaps since another block is a delta of it.
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
                    // A cast lies in no segment.
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

    /// Names of the tensors and objects that lose bytes, each once, in the manifests' order.
    func losers(by loss: SegmentFault.Loss) -> (tensors: [String], objects: [String]) {
        // As bytes: two spellings of one accented letter are two names.
        var seen: (tensors: Set<[UInt8]>, objects: Set<[UInt8]>) = ([], [])
        let losers = owners.filter { owner in
            guard loss.includes(owner.block, owner.range) else { return false }
            let name = Array(owner.name.utf8)
            return owner.isObject ? seen.objects.insert(name).inserted : seen.tensors.insert(name).inserted
        }
        return (losers.filter { !$0.isObject }.map(\.name), losers.filter(\.isObject).map(\.name))
    }
}
