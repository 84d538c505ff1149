internal import CheckpointFormat
internal import CheckpointStorage

/// Two shards with elements to compare.
struct ComparedPair {
    let before: ComparedShard
    let after: ComparedShard
    /// Elements that both shards hold; nil if they are the same shard.
    let overlap: [StridedCopy]?
}
