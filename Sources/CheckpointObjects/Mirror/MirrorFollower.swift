internal import CheckpointIO
public import CheckpointStorage
internal import Foundation

/// Brings a mirror up to date again and again, on a thread in the background that gives way to all
/// others, until it is stopped.
public final class MirrorFollower: Sendable {
    /// An event while it follows.
    public enum Event: Sendable {
        /// The mirror is up to date, and something was sent for it.
        case synchronized(MirrorReport)
        /// It was not brought up to date; the next try follows. Training is not concerned.
        case failed(CheckpointError)
    }

    private struct State {
        var isStopping = false
        var isUpToDate = false
        var error: CheckpointError?
    }

    private let cancellation = Cancellation()
    private let state: Monitor<State>
    private let thread: Monitor<WorkerThread?>

    /// Longest pause after failures, in seconds.
    private static let pauseMax = 60.0

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - mirror: the mirror; nobody else may synchronize it meanwhile.
    ///   - seconds: pause between two looks at the store.
    ///   - onEvent: called on the thread of this object.
    /// - Throws: code `io` if the system cannot create a thread.
    public init(
        _ mirror: StoreMirror, every seconds: Double = 2,
        onEvent: @escaping @Sendable (Event) -> Void = { _ in }
    ) throws(CheckpointError) {
        let state = Monitor(State(), rank: .unchecked)
        let cancellation = cancellation
        self.state = state
        do throws(ThreadError) {
            let worker = try WorkerThread(name: "ckpt-mirror", niceness: 19) {
                Self.run(mirror, seconds, cancellation, state, onEvent)
            }
            thread = Monitor(worker, rank: .unchecked)
        } catch {
            throw CheckpointError(.io, "the mirror's thread cannot be created: \(error)")
        }
    }

    deinit {
        // Not joined: what is called on the thread may hold the last reference to this object.
        cancellation.cancel()
        state.withLock { $0.isStopping = true }
    }

    /// Sends what is not sent yet, and stops.
    ///
    /// - Parameter timeout: time after which it stops in any case.
    /// - Throws: code `timedOut`, or the error that kept the mirror from being brought up to date.
    public func stop(within timeout: Duration = .seconds(60)) throws(CheckpointError) {
        end(within: timeout)
        let last = state.withLock { $0 }
        if last.isUpToDate { return }
        throw last.error
            ?? CheckpointError(
                .timedOut, "the mirror is not up to date after \(timeout)",
                remedy: "Run ckpt mirror with the same places: it sends the rest")
    }

    private func end(within timeout: Duration) {
        let worker = thread.withLock { worker in
            defer { worker = nil }
            return worker
        }
        guard let worker else { return }
        state.withLock { state in
            state.isStopping = true
            state.isUpToDate = false
            state.error = nil
        }
        _ = state.waitFor(timeout: timeout) { $0.isUpToDate || $0.error != nil ? true : nil }
        cancellation.cancel()
        worker.join()
    }

    private static func run(
        _ mirror: StoreMirror, _ seconds: Double, _ cancellation: Cancellation,
        _ state: Monitor<State>, _ onEvent: @Sendable (Event) -> Void
    ) {
        var pause = seconds
        while !cancellation.isCancelled {
            // What is committed after this may be missed; so a stop asks for one more round.
            let isLast = state.withLock(\.isStopping)
            do throws(CheckpointError) {
                let report = try mirror.synchronize(cancellation: cancellation)
                if report.objectCount + report.markCount > 0 { onEvent(.synchronized(report)) }
                pause = seconds
                if isLast {
                    let failure = report.checkpoints.first { $0.outcome == .failed }?.error
                    state.withLock { state in
                        (state.isUpToDate, state.error) = (failure == nil, failure)
                    }
                    return
                }
            } catch {
                guard error.code != .cancelled else { return }
                onEvent(.failed(error))
                pause = min(pause * 2, pauseMax)
                if isLast {
                    state.withLock { $0.error = error }
                    return
                }
            }
            _ = state.waitFor(timeout: .seconds(pause)) { $0.isStopping ? true : nil }
        }
    }
}
