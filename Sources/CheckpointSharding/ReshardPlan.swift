package import CheckpointFormat

/// The copies that fill one rank's memory for a tensor from saved shards of any other sharding.
package struct ReshardPlan: Hashable, Sendable {
    /// The copies from one shard.
    package struct Transfer: Hashable, Sendable {
        /// Index of the shard.
        package let shard: Int
        /// The rank or node to read from; nil if the shard is in one place only.
        package let holder: Int?
        /// The copies: from the shard's saved elements to the rank's memory.
        package fileprivate(set) var copies: [StridedCopy]
    }

    /// The transfers, by shard.
    package private(set) var transfers: [Transfer] = []

    /// Plans the reads of one rank.
    ///
    /// Of a shard with several holders, the rank reads from itself if it is one of them. Otherwise
    /// the choice depends only on the numbers of rank and shard, and spreads over the holders.
    ///
    /// - Parameters:
    ///   - source: The saved shards.
    ///   - pieces: The pieces of the tensor that the rank needs, and their places in its memory.
    ///     They are valid, and disjoint there.
    ///   - rank: The rank; nil if the shards are in one place only.
    ///   - name: Name of the tensor, for the error.
    /// - Throws: `ShardingError` of kind `hole` if the shards lack some of the elements.
    package init(
        _ source: ReshardSource, to pieces: [ShardPiece], rank: Int?, tensor name: String
    ) throws(ShardingError) {
        var copies: [Int: [StridedCopy]] = [:]
        var missing = 0
        for piece in pieces {
            missing += piece.count
            source.forEachCopy(to: piece) { shard, copy in
                copies[shard, default: []].append(copy)
                missing -= copy.count
            }
        }
        guard missing == 0 else {
            throw ShardingError(
                .hole,
                "the checkpoint lacks \(missing) of the elements that "
                    + (rank.map { "rank \($0) needs" } ?? "are needed"),
                tensor: name, ranks: rank.map { [$0] } ?? [])
        }
        for shard in copies.keys.sorted() {
            let holders = source.shards[shard].holders
            let holder: Int? =
                if holders.isEmpty {
                    nil
                } else if let rank, holders.contains(rank) {
                    rank
                } else {
                    holders[((rank ?? 0) + shard) % holders.count]
                }
            transfers.append(
                Transfer(shard: shard, holder: holder, copies: copies[shard] ?? []))
        }
    }

    /// Number of elements that the rank needs.
    package var neededElements: Int {
        transfers.reduce(0) { $0 + $1.copies.reduce(0) { $0 + $1.count } }
    }
}

extension ReshardPlan.Transfer {
    /// Returns the ranges of the shard to read, ascending and disjoint: every needed element is in
    /// one of them. Ranges with small gaps between them are read as one, smallest gaps first, while
    /// all gaps together are at most a tenth of what is needed.
    ///
    /// - Returns: Positions in the saved elements.
    package var reads: [Range<Int>] {
        let runs = neededRuns
        let gaps = runs.indices.dropFirst().map {
            (size: runs[$0].lowerBound - runs[$0 - 1].upperBound, run: $0)
        }
        var budget = runs.reduce(0) { $0 + $1.count } / 10
        var joined: Set<Int> = []
        for gap in gaps.sorted(by: { $0 < $1 }) {
            guard gap.size <= budget else { break }
            budget -= gap.size
            joined.insert(gap.run)
        }
        var reads: [Range<Int>] = []
        for (index, run) in runs.enumerated() {
            if joined.contains(index) {
                reads[reads.count - 1] = reads[reads.count - 1].lowerBound..<run.upperBound
            } else {
                reads.append(run)
            }
        }
        return reads
    }

    /// The elements of the shard that are needed, as ascending ranges with gaps between them.
    package var neededRuns: [Range<Int>] {
        var all: [Range<Int>] = []
        for copy in copies {
            copy.forEachRun { all.append($0.source..<$0.source + $0.count) }
        }
        all.sort { $0.lowerBound < $1.lowerBound }
        var runs: [Range<Int>] = []
        for run in all {
            if let last = runs.last, run.lowerBound <= last.upperBound {
                runs[runs.count - 1] = last.lowerBound..<max(last.upperBound, run.upperBound)
            } else {
                runs.append(run)
            }
        }
        return runs
    }
}
