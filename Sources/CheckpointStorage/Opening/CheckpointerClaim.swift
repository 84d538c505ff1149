internal import CheckpointIO

/// The right of one checkpointer to save to a store, until it is ended or nobody has it any more.
package final class CheckpointerClaim: Sendable {
    private let onEnd: Monitor<(@Sendable () -> Void)?>

    package init(_ onEnd: @escaping @Sendable () -> Void) { self.onEnd = Monitor(onEnd) }
    deinit { end() }

    package func end() {
        let onEnd = onEnd.withLock { onEnd in
            defer { onEnd = nil }
            return onEnd
        }
        onEnd?()
    }
}
