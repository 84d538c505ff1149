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
    /// The save that several ranks are making; nil if there is none.
    package var ranks: RankedSave?

    package init(status: SaveStatus?, names: [ManifestName], ranks: RankedSave? = nil) {
        (self.status, self.names, self.ranks) = (status, names, ranks)
    }
}
