internal import CheckpointFormat
internal import CheckpointStorage

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
