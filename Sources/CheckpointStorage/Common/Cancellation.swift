internal import CheckpointIO

/// A request, from any thread, to stop an operation.
///
/// The operation removes its incomplete results and throws code `cancelled`. Committed results,
/// such as the first of several copied checkpoints, stay.
public final class Cancellation: Sendable {
    private struct State {
        var isCancelled = false
        var handlers: [Int: @Sendable () -> Void] = [:]
        var count = 0
    }

    private let state = Monitor(State())

    /// Creates a request that has not been made yet.
    public init() {}

    /// True if the operation was asked to stop.
    public var isCancelled: Bool { state.withLock(\.isCancelled) }

    /// Asks the operation to stop. Returns immediately; calling it again has no effect.
    public func cancel() {
        let handlers = state.withLock { state -> [@Sendable () -> Void] in
            state.isCancelled = true
            defer { state.handlers = [:] }
            return Array(state.handlers.values)
        }
        for handler in handlers { handler() }
    }

    /// Waits for the request.
    ///
    /// - Parameter time: maximum time to wait.
    /// - Returns: true if the operation was asked to stop.
    package func wait(for time: Duration) -> Bool {
        state.waitFor(timeout: time) { $0.isCancelled ? true : nil } ?? false
    }

    /// Throws if the operation was asked to stop.
    ///
    /// - Parameters:
    ///   - operation: the operation, for the message: `"the copy of step 3"`.
    ///   - remedy: how to go on.
    /// - Throws: code `cancelled`.
    package func check(
        _ operation: @autoclosure () -> String, remedy: String? = nil
    ) throws(CheckpointError) {
        guard isCancelled else { return }
        throw CheckpointError(.cancelled, "\(operation()) was interrupted", remedy: remedy)
    }

    /// Runs `body`, and calls `handler` once if the request is made meanwhile, or was made before.
    ///
    /// - Parameters:
    ///   - handler: called on the thread that cancels, or on this one.
    ///   - body: the operation.
    /// - Returns: the result of `body`.
    /// - Throws: the error of `body`.
    package func withHandler<R, E: Error>(
        _ handler: @escaping @Sendable () -> Void, _ body: () throws(E) -> R
    ) throws(E) -> R {
        let number = state.withLock { state -> Int? in
            guard !state.isCancelled else { return nil }
            state.count += 1
            state.handlers[state.count] = handler
            return state.count
        }
        guard let number else {
            handler()
            return try body()
        }
        defer { state.withLock { _ = $0.handlers.removeValue(forKey: number) } }
        return try body()
    }
}
