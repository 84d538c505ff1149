public import CheckpointFormat
internal import CheckpointIO
internal import CheckpointStorage

/// Handle of a requested save. All calls are allowed on any thread.
public final class SaveTicket: Sendable {
    /// Progress of a save. Each state includes those before it.
    public enum Progress: Int, Sendable, Comparable {
        case submitted
        /// Every byte has been copied out of the trainer's memory.
        case captured
        /// Every byte is on stable storage.
        case durable
        /// The checkpoint is published.
        case committed

        public static func < (a: Progress, b: Progress) -> Bool { a.rawValue < b.rawValue }
    }

    /// The life of a save.
    private enum Phase {
        /// `cancel` fails the save. A ticket that is kept after the end keeps nothing else alive.
        case inFlight(Progress, cancel: @Sendable (SaveTicket) -> Void)
        case committed(SaveReport)
        /// Failed after it had come as far as `Progress`.
        case failed(CheckpointError, at: Progress)

        var progress: Progress {
            switch self {
            case .inFlight(let progress, _), .failed(_, let progress): progress
            case .committed: .committed
            }
        }

        /// The result of waiting for `goal`; nil while the save has neither reached it nor failed.
        func outcome(_ goal: Progress) -> Result<Void, CheckpointError>? {
            if progress >= goal { return .success(()) }
            if case .failed(let error, _) = self { return .failure(error) }
            return nil
        }
    }

    private struct State {
        var phase: Phase
        /// Tasks that wait, by number.
        var waiters: [Int: Waiter] = [:]
        var nextWaiter = 0

        /// Removes and returns the waiters whose wait is over.
        mutating func takeDone() -> [(waiter: Waiter, outcome: Result<Void, CheckpointError>)] {
            let done = waiters.compactMap { number, waiter in
                phase.outcome(waiter.goal).map { (number: number, waiter: waiter, outcome: $0) }
            }
            for (number, _, _) in done { waiters[number] = nil }
            return done.map { ($0.waiter, $0.outcome) }
        }
    }

    /// A task that is suspended until the save reaches `goal`, fails, or the task is cancelled.
    private struct Waiter {
        let goal: Progress
        let continuation: CheckedContinuation<Void, any Error>
    }

    /// The step given to `save`.
    public let step: Int
    /// The id of the checkpoint, if the save commits.
    public let id: CheckpointID
    /// The failure of the save before this one, if it failed and has not been reported yet.
    public let earlierFailure: CheckpointError?
    private let state: Monitor<State>

    init(
        step: Int, id: CheckpointID = .random(), earlierFailure: CheckpointError?,
        onCancel: @escaping @Sendable (SaveTicket) -> Void
    ) {
        self.step = step
        self.id = id
        self.earlierFailure = earlierFailure
        state = Monitor(State(phase: .inFlight(.submitted, cancel: onCancel)))
    }

    /// The state that the save has reached.
    public var progress: Progress { state.withLock { $0.phase.progress } }

    /// Failure of the save; nil if it has not failed.
    public var failure: CheckpointError? {
        if case .failed(let error, _) = state.withLock({ $0.phase }) { error } else { nil }
    }

    /// Result of the save; nil until it is committed.
    public var report: SaveReport? {
        if case .committed(let report) = state.withLock({ $0.phase }) { report } else { nil }
    }

    /// Blocks the calling thread until the save has reached `goal`.
    ///
    /// - Parameters:
    ///   - goal: the state to wait for.
    ///   - timeout: maximum time to wait.
    /// - Throws: the failure of the save, or code `timedOut`; the save then continues.
    public func wait(for goal: Progress = .committed, timeout: Duration = .seconds(86_400))
        throws(CheckpointError)
    {
        let outcome: Result<Void, CheckpointError>? = state.waitFor(timeout: timeout) { state in
            state.phase.outcome(goal)
        }
        guard let outcome else {
            throw CheckpointError(.timedOut, "step \(step) is not \(goal) after \(timeout)")
        }
        try outcome.get()
    }

    /// Cancels the save. It fails with code `cancelled`, unless it is already being committed.
    public func cancel() {
        if case .inFlight(_, let cancel) = state.withLock({ $0.phase }) { cancel(self) }
    }

    // MARK: Waiting without a thread

    /// Suspends the calling task until the save is committed.
    ///
    /// No thread is blocked. Cancelling the task ends the wait, not the save; `cancel()` does that.
    ///
    /// - Returns: the result of the save.
    /// - Throws: the failure of the save, as `CheckpointError`, or `CancellationError`.
    public func value() async throws -> SaveReport {
        try await reached(.committed)
        guard let report else { preconditionFailure("step \(step) is committed, but has no report") }
        return report
    }

    /// Suspends the calling task until the save has reached `goal`.
    ///
    /// No thread is blocked. Cancelling the task ends the wait, not the save; `cancel()` does that.
    ///
    /// - Parameter goal: the state to wait for.
    /// - Throws: the failure of the save, as `CheckpointError`, or `CancellationError`.
    public func reached(_ goal: Progress) async throws {
        let number = state.withLock { state in
            defer { state.nextWaiter += 1 }
            return state.nextWaiter
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let waiter = Waiter(goal: goal, continuation: continuation)
                // A task that is cancelled already has called the handler, which found no waiter.
                let outcome = state.withLock { state -> Result<Void, any Error>? in
                    if let outcome = state.phase.outcome(goal) { return outcome.mapError { $0 } }
                    if Task.isCancelled { return .failure(CancellationError()) }
                    state.waiters[number] = waiter
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let waiter = state.withLock { $0.waiters.removeValue(forKey: number) }
            waiter?.continuation.resume(throwing: CancellationError())
        }
    }

    // MARK: Progress

    func advance(to progress: Progress) {
        change { phase in
            guard case .inFlight(let before, let cancel) = phase else { return phase }
            return .inFlight(max(before, progress), cancel: cancel)
        }
    }

    func commit(_ report: SaveReport) { change { _ in .committed(report) } }

    func fail(_ error: CheckpointError) { change { .failed(error, at: $0.progress) } }

    private func change(_ next: (Phase) -> Phase) {
        let done = state.withLock { state in
            state.phase = next(state.phase)
            return state.takeDone()
        }
        // Not under the lock: a task may continue on this thread.
        for (waiter, outcome) in done { waiter.continuation.resume(with: outcome.mapError { $0 }) }
    }
}
