internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointState
internal import CheckpointStorage

/// Elements in chunks with known hashes, or in lent memory.
enum ComparedShard {
    case chunks([ChunkExtent])
    case view(TensorView)

    var extents: [ChunkExtent] {
        if case .chunks(let extents) = self { extents } else { [] }
    }

    var byteCount: Int {
        switch self {
        case .chunks(let extents): extents.last?.range.upperBound ?? 0
        case .view(let view): view.byteCount
        }
    }
}
