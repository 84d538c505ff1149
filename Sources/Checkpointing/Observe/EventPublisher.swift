internal import CheckpointIO
internal import CheckpointStorage

/// Publishes events to any number of subscribers. No subscriber can block the publisher.
///
/// Any thread.
final class EventPublisher: Sendable {
    private struct State {
        var subscribers: [Int: AsyncStream<CheckpointEvent>.Continuation] = [:]
        var nextSubscriber = 0
        var isFinished = false
    }

    /// Maximum number of unread events per subscriber.
    static let bufferedMax = 1024
    private let state = Monitor(State())

    deinit { finish() }

    /// Returns a stream of all events from now on.
    func subscribe() -> AsyncStream<CheckpointEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: CheckpointEvent.self, bufferingPolicy: .bufferingNewest(Self.bufferedMax))
        let number: Int? = state.withLock { state in
            if state.isFinished { return nil }
            defer { state.nextSubscriber += 1 }
            state.subscribers[state.nextSubscriber] = continuation
            return state.nextSubscriber
        }
        guard let number else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in self?.unsubscribe(number) }
        return stream
    }

    private func unsubscribe(_ number: Int) { _ = state.withLock { $0.subscribers.removeValue(forKey: number) } }

    func publish(_ event: CheckpointEvent) {
        // Not under the lock: a stream that ends while it receives an event unsubscribes, which
        // takes the lock.
        let subscribers = state.withLock { $0.subscribers }
        for subscriber in subscribers.values { subscriber.yield(event) }
    }

    /// Ends every stream after its buffered events have been read.
    func finish() {
        let subscribers = state.withLock { state in
            defer { (state.subscribers, state.isFinished) = ([:], true) }
            return state.subscribers
        }
        for subscriber in subscribers.values { subscriber.finish() }
    }

    /// Number of streams that still have a reader.
    var subscriberCount: Int { state.withLock { $0.subscribers.count } }
}
