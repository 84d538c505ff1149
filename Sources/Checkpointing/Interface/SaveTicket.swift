internal import CheckpointStorage
public import CheckpointFormat
internal import CheckpointIO

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

    private struct State {
        var progress = Progress.submitted
        var failure: CheckpointError?
        var report: SaveReport?
    }

    /// The step given to `save`.
    public let step: Int
    /// The id of the checkpoint, if the save commits.
    public let id: CheckpointID
    /// The failure of the save before this one, if it failed and has not been reported yet.
    public let earlierFailure: CheckpointError?
    private let state = Monitor(State())
    private let onCancel: @Sendable (SaveTicket) -> Void

    init(step: Int, earlierFailure: CheckpointError?, onCancel: @escaping @Sendable (SaveTicket) -> Void) {
        self.step = step
        id = .random()
        self.earlierFailure = earlierFailure
        self.onCancel = onCancel
    }

    /// The state that the save has reached.
    public var progress: Progress { state.withLock { $0.progress } }
    /// Failure of the save; nil if it has not failed.
    public var failure: CheckpointError? { state.withLock { $0.failure } }

    /// Result of the save; nil until it is committed.
    public var report: SaveReport? { state.withLock { $0.report } }

    /// Blocks the calling thread until the save has reached `goal`.
    ///
    /// - Parameters:
    ///   - goal: the state to wait for.
    ///   - timeout: maximum time to wait.
    /// - Throws: the failure of the save, or code `timedOut`; the save then continues.
    public func wait(for goal: Progress = .committed, timeout: Duration = .seconds(86_400)) throws(CheckpointError) {
        let outcome: Result<Void, CheckpointError>? = state.waitFor(timeout: timeout) { state in
            if state.progress >= goal { return .success(()) }
            return state.failure.map { .failure($0) }
        }
        guard let outcome else {
            throw CheckpointError(.timedOut, "step \(step) is not \(goal) after \(timeout)")
        }
        try outcome.get()
    }

    /// Cancels the save. It fails with code `cancelled`, unless it is already being committed.
    public func cancel() { onCancel(self) }

    func advance(to progress: Progress) { state.withLock { $0.progress = max($0.progress, progress) } }
    func commit(_ report: SaveReport) { state.withLock { ($0.report, $0.progress) = (report, .committed) } }
    func fail(_ error: CheckpointError) { state.withLock { $0.failure = error } }
}
