package import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage

/// One observation of a store and its writer.
package struct WatchSample: Sendable {
    /// Status of the writer; nil if there is no writer, or if it writes no status file.
    package var status: SaveStatus?
    /// Names of all checkpoints, oldest first.
    package var names: [ManifestName]

    package init(status: SaveStatus?, names: [ManifestName]) {
        (self.status, self.names) = (status, names)
    }
}
