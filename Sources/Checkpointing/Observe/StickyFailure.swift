internal import CheckpointIO
internal import CheckpointStorage

/// The failure of a save that no ticket has reported yet. Any thread.
final class StickyFailure: Sendable {
    private let failure = Monitor<CheckpointError?>(nil)

    /// Keeps a failure. A save that a policy skipped is not a failure of the engine.
    func record(_ error: CheckpointError) {
        if error.code != .skipped { failure.withLock { $0 = error } }
    }

    /// Returns the failure, and forgets it: it is reported once.
    func take() -> CheckpointError? {
        failure.withLock { failure in
            defer { failure = nil }
            return failure
        }
    }
}
