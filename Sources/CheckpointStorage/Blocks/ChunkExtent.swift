internal import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointSegments

/// Position of a chunk in its shard or object, and the chunk's hash.
package struct ChunkExtent: Equatable, Sendable {
    /// Range in the row-major bytes of the shard.
    package var range: Range<Int>
    package var hash: Hash128
    /// Row in the manifest's chunk table.
    package var row: Int

    package init(range: Range<Int>, hash: Hash128, row: Int) {
        self.range = range
        self.hash = hash
        self.row = row
    }
}
