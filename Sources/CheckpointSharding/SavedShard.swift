package import CheckpointFormat

/// Saved pieces of a tensor, one after the other in one place.
package struct SavedShard: Hashable, Sendable {
    /// The pieces; their memory is the shard's saved elements.
    package var pieces: [ShardPiece]
    /// Ranks or nodes that each keep a copy of the saved bytes; empty if there is just one place.
    package var holders: [Int]

    package init(pieces: [ShardPiece], holders: [Int] = []) {
        self.pieces = pieces
        self.holders = holders
    }

    /// Creates the shard that a rank saves: its pieces one after the other, each row-major.
    ///
    /// - Parameters:
    ///   - pieces: The pieces in the rank's memory.
    ///   - holders: Ranks or nodes that each keep a copy of the saved bytes.
    package init(packing pieces: [ShardPiece], holders: [Int] = []) {
        var (packed, end) = ([ShardPiece](), 0)
        for piece in pieces {
            packed.append(
                ShardPiece(
                    shape: piece.shape, offset: piece.offset, strides: piece.strides,
                    localOffset: end))
            end += piece.count
        }
        self.init(pieces: packed, holders: holders)
    }
}
