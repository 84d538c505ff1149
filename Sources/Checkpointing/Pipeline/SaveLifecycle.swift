internal import CheckpointStorage

/// The events of a save, as the pipeline reports them and as they decide what it does next.
///
/// Called with no lock held, on the pipeline's threads; on the trainer's if it captured the last
/// block at a fence, and on the guard's if it captured a block that a write waited for.
protocol SaveLifecycle: AnyObject, Sendable {
    /// Every byte is out of the trainer's memory.
    func captured(_ task: SaveTask)

    /// `bytes` bytes of the state are written, or need not be.
    func written(_ task: SaveTask, bytes: Int)

    /// Returns the error if no save in flight can be trusted. Asked before each commit.
    func violation(before task: SaveTask) -> CheckpointError?

    /// Publishes the save.
    func commit(_ task: SaveTask, _ progress: SaveProgress) throws(CheckpointError) -> SaveReport

    /// The save is committed, and the next may begin.
    func committed(_ task: SaveTask, _ report: SaveReport)

    /// The save has failed, nothing of it is in use any more, and the next may begin.
    func failed(_ task: SaveTask, _ error: CheckpointError)

    /// A committed save is no longer in flight.
    func ended()
}
