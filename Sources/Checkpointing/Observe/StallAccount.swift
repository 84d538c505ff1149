internal import CheckpointIO
internal import CheckpointStorage

/// The time that the trainer has been held up by all saves. Any thread.
final class StallAccount: Sendable {
    private let total = Monitor(StallReport())

    var report: StallReport { total.withLock { $0 } }

    /// Adds a submission: `waited` until the save could begin, and `submit` to begin it.
    func add(submit: Duration, backpressure waited: Duration) {
        total.withLock { total in
            total.submit += submit
            total.backpressure += waited
        }
    }

    /// Adds a wait of `time` for a fence or a held write.
    /// - Parameter backpressure: the part of it that was spent waiting for the disk.
    func add(wait time: Duration, backpressure: Duration) {
        total.withLock { total in
            total.backpressure += backpressure
            total.fence += time - backpressure
        }
    }
}
