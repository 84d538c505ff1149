internal import CheckpointStorage

/// Leave to change the state, or one group of it. Nothing that the permit covers is being captured while it exists.
///
/// It cannot be copied, and ends when it goes out of scope or `end()` is called. Hold it while the optimizer updates, and only then.
public struct MutationPermit: ~Copyable {
    private let onEnd: @Sendable () -> Void

    init(onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }

    /// Gives the permit back: the update is over.
    public consuming func end() {}

    deinit { onEnd() }
}
