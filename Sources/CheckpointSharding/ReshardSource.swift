internal import CheckpointFormat

/// The saved shards of one tensor, in an order in which those that a rank needs are found quickly.
package struct ReshardSource: Sendable {
    private struct Entry {
        var shard: Int
        var piece: ShardPiece
        /// First and last position in the tensor.
        var first: Int
        var last: Int
    }

    package let shards: [SavedShard]
    /// The pieces of all shards, by their first position.
    private let entries: [Entry]
    /// Per entry the greatest last position up to it.
    private let reach: [Int]

    /// Sorts the pieces.
    ///
    /// - Parameter shards: The saved shards. Their pieces are valid and disjoint.
    package init(_ shards: [SavedShard]) {
        self.shards = shards
        let entries = shards.enumerated().flatMap { index, shard in
            shard.pieces.map { piece in
                Entry(
                    shard: index, piece: piece, first: piece.offset,
                    last: piece.offset + piece.elements.reach)
            }
        }.sorted { ($0.first, $0.shard) < ($1.first, $1.shard) }
        var (reach, last) = ([Int](), -1)
        for entry in entries {
            last = max(last, entry.last)
            reach.append(last)
        }
        self.entries = entries
        self.reach = reach
    }

    /// Calls `body` with the copies from each saved piece to a piece in memory.
    func forEachCopy(to piece: ShardPiece, _ body: (_ shard: Int, StridedCopy) -> Void) {
        let last = piece.offset + piece.elements.reach
        // `reach` ascends: entries before the first that reaches the piece end too early.
        var (low, high) = (0, reach.count)
        while low < high {
            let middle = (low + high) / 2
            if reach[middle] < piece.offset { low = middle + 1 } else { high = middle }
        }
        for entry in entries[low...] {
            if entry.first > last { return }
            guard entry.last >= piece.offset else { continue }
            for copy in PieceIntersection.copies(from: entry.piece, to: piece) {
                body(entry.shard, copy)
            }
        }
    }
}
