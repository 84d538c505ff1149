internal import CheckpointStorage

/// Permission to change the state, or one group of it. While it exists, nothing that it covers is
/// being captured.
///
/// It cannot be copied, and ends when it goes out of scope or `end()` is called. Hold it only while
/// the optimizer updates the state.
public struct MutationPermit: ~Copyable {
    private let onEnd: @Sendable () -> Void

    init(onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }

    /// Ends the permit: the update is over.
    public consuming func end() {}

    deinit { onEnd() }
}
