package import CheckpointFormat
package import CheckpointSegments

extension CheckpointStore {
    /// Returns a writer of segments of this store.
    ///
    /// - Parameters:
    ///   - attempt: id in the names of the segments.
    ///   - blockCount: expected number of blocks.
    ///   - pool: spare files to overwrite; nil creates new files only.
    package func segmentWriter(
        attempt: CheckpointID, blockCount: Int = 0, pool: SegmentPool? = nil
    ) -> SegmentWriter {
        SegmentWriter(
            fileSystem: fileSystem, directories: directories, store: id, attempt: attempt, rank: 0,
            blockCount: blockCount, pool: pool)
    }
}
