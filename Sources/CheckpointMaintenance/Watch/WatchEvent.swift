internal import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage

/// A change between two observations. Sizes in bytes, times in seconds.
package enum WatchEvent: Sendable, Equatable {
    /// A writer has started.
    case writer(process: Int, run: RunID)
    /// The writer has ended, or another one has replaced it.
    case writerGone(process: Int)
    case started(step: Int)
    case progress(Progress)
    /// A checkpoint was committed. Its cost is known only for the writer's last one.
    case committed(ManifestName, Took?)
    /// The next checkpoint is the first of another restart.
    case restarted(ManifestName)
    case removed(ManifestName)
    case failed(step: Int)
    /// The writer has sent a checkpoint to the store's mirror.
    case mirrored(step: Int)
    /// What several ranks have done of their save has changed.
    case ranks(RankedSave)

    package struct Progress: Sendable, Equatable {
        package var step: Int
        package var written: Int
        package var total: Int
        /// Bytes per second since the save began.
        package var speed: Double
        /// Seconds until everything is written, at that speed; nil if the speed is 0.
        package var remaining: Double?
        /// Seconds for which all saves so far have blocked training.
        package var stall: Double
    }

    package struct Took: Sendable, Equatable {
        package var seconds: Double
        package var stall: Double
        package var bytes: Int
        package var newBytes: Int
    }
}
