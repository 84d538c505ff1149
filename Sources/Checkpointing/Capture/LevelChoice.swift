internal import CheckpointCodecs

/// A level of compression that the engine has chosen for one save.
struct LevelChoice: Equatable {
    var level: Compression
    /// The measurements behind the choice, for the report.
    var reason: String
    /// True if no speed is known yet: the save then compresses only while the writer is busy.
    var isTrial = false
}
