internal import CheckpointFormat
internal import CheckpointStorage

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
        var seen: (tensors: Set<ByteName>, objects: Set<ByteName>) = ([], [])
        let losers = owners.filter { owner in
            guard loss.includes(owner.block, owner.range) else { return false }
            let name = ByteName(owner.name)
            return owner.isObject ? seen.objects.insert(name).inserted : seen.tensors.insert(name).inserted
        }
        return (losers.filter { !$0.isObject }.map(\.name), losers.filter(\.isObject).map(\.name))
    }
}
