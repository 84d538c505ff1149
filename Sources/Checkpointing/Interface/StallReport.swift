internal import CheckpointFormat
internal import CheckpointStorage

/// Time for which training was blocked since the `Checkpointer` was created.
public struct StallReport: Sendable {
    /// Time in `save` itself.
    public var submit: Duration = .zero
    /// Time at fences, copying or waiting for copies.
    public var fence: Duration = .zero
    /// Time at fences and in `save` waiting for the disk: for arena slots, or for an earlier save.
    public var backpressure: Duration = .zero
    /// Maximum arena memory ever in use, in bytes.
    public var arenaHighWaterBytes = 0

    /// Adds a submission: `waited` until the save could begin, and `submit` to begin it.
    mutating func add(submit: Duration, backpressure waited: Duration) {
        self.submit += submit
        backpressure += waited
    }

    /// Adds a wait of `time` for a fence or a delayed write.
    ///
    /// - Parameter waited: the part of it that was spent waiting for the disk.
    mutating func add(wait time: Duration, backpressure waited: Duration) {
        backpressure += waited
        fence += time - waited
    }
}
