internal import CheckpointIO

/// The exclusive right of one checkpointer to save to a store, until `end()` or the last reference
/// goes.
///
/// Any thread.
package final class CheckpointerClaim: Sendable {
    private let onEnd: Monitor<(@Sendable () -> Void)?>

    /// Creates a claim.
    ///
    /// - Parameter onEnd: called once, when the claim ends, on the thread that ends it.
    package init(_ onEnd: @escaping @Sendable () -> Void) { self.onEnd = Monitor(onEnd) }
    deinit { end() }

    /// Ends the claim. A second call does nothing.
    package func end() {
        let onEnd = onEnd.withLock { onEnd in
            defer { onEnd = nil }
            return onEnd
        }
        onEnd?()
    }
}
