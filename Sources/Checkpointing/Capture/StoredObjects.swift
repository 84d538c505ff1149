internal import CheckpointFormat
internal import CheckpointSegments

/// The objects of a save, as they are stored.
struct StoredObjects {
    var records: [ObjectRecord] = []
    /// Their chunks; `block` counts from the first of `blocks`.
    var chunks: [ChunkRecord] = []
    var blocks: [PlacedBlock] = []
    /// Steps of the optimizer among them: objects of its role named `step`, or with a suffix `.step`.
    var optimizerSteps: [(name: String, step: Int)] = []
}
