/// A chunk inside a block of an earlier checkpoint.
struct StoredChunk: Sendable, Equatable {
    /// Number of the checkpoint: see `BlockReuse`.
    var source: Int32
    /// Row of its block table.
    var block: Int32
    /// Offset in the block's raw bytes.
    var offset: Int32
}
