internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointSegments
internal import CheckpointStorage

/// Correspondence of blocks of an older checkpoint to blocks of a newer one, by the tensors in them
/// and their positions. Pure.
struct BlockPairing {
    private struct Part: Hashable {
        var name: ByteName
        var isObject: Bool
        var ordinal: Int
    }

    private let newer: Manifest
    private var rowOfPart: [Part: Int] = [:]
    private var partsOfBlock: [Int: [(part: Part, row: Int)]]
    private let older: Manifest
    /// Size and element type of each chunk of a tensor, by row.
    private var runOfChunk: [Int: ElementRun] = [:]

    init(_ older: Manifest, newer: Manifest) {
        (self.older, self.newer) = (older, newer)
        for (part, row) in Self.parts(newer) { rowOfPart[part] = row }
        partsOfBlock = Dictionary(grouping: Self.parts(older).map { (part: $0.0, row: $0.1) }) { older.chunks[$0.row].block }
        for tensor in older.tensors {
            for shard in tensor.shards { add(shard, of: tensor.type) }
        }
    }

    private mutating func add(_ shard: ShardRecord, of type: ElementType) {
        var start = 0
        for row in shard.chunks {
            let end = start + older.chunks[row].bytes
            let shape = shard.region.box?.extent ?? [shard.region.elementCount]
            runOfChunk[row] = ElementRun(start..<end, of: type, shape: shape)
            start = end
        }
    }

    private static func parts(_ manifest: Manifest) -> [(Part, Int)] {
        let tensors = manifest.tensors.flatMap { tensor in
            tensor.shards.flatMap(\.chunks).enumerated().map {
                (Part(name: ByteName(tensor.name), isObject: false, ordinal: $0.offset), $0.element)
            }
        }
        return tensors + manifest.objects.flatMap { object in
            object.chunks.enumerated().map {
                (Part(name: ByteName(object.name), isObject: true, ordinal: $0.offset), $0.element)
            }
        }
    }

    /// Returns the newer checkpoint's block that a block may be a delta of, and whether both hold
    /// the same bytes; nil if there is none.
    func partner(of row: Int) -> (row: Int, isSame: Bool)? {
        guard let parts = partsOfBlock[row], let first = rowOfPart[parts[0].part] else { return nil }
        let partner = newer.chunks[first].block
        guard newer.blocks[partner].rawBytes == older.blocks[row].rawBytes else { return nil }
        var isSame = true
        var covered = 0
        for (part, row) in parts {
            guard let other = rowOfPart[part].map({ newer.chunks[$0] }) else { return nil }
            let chunk = older.chunks[row]
            guard other.block == partner, other.offset == chunk.offset, other.bytes == chunk.bytes else { return nil }
            isSame = isSame && other.hash == chunk.hash
            covered += chunk.bytes
        }
        return (partner, isSame && covered >= older.blocks[row].rawBytes)
    }

    /// Returns the element types of the bytes of the older checkpoint's block, in order.
    func runs(of row: Int) -> [ElementRun] {
        var runs: [ElementRun] = []
        var end = 0
        let parts = partsOfBlock[row, default: []].map { (chunk: older.chunks[$0.row], row: $0.row) }
        for (chunk, row) in parts.sorted(by: { $0.chunk.offset < $1.chunk.offset }) where chunk.offset >= end {
            // Bytes that no chunk needs any more.
            if chunk.offset > end { runs.append(ElementRun(bytes: chunk.offset - end, type: nil)) }
            runs.append(runOfChunk[row] ?? ElementRun(bytes: chunk.bytes, type: nil))
            end = chunk.offset + chunk.bytes
        }
        if end < older.blocks[row].rawBytes { runs.append(ElementRun(bytes: older.blocks[row].rawBytes - end, type: nil)) }
        return runs
    }
}
