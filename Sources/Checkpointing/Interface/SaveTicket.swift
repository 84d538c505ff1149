internal import CheckpointStorage
public import CheckpointFormat
internal import CheckpointIO

/// A save that has been asked for.
public final class SaveTicket: Sendable {
    /// How far a save has come. Each state includes those before it.
    public enum Progress: Int, Sendable, Comparable {
        case submitted
        /// Every byte is out of the trainer's memory.
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
    /// The checkpoint's id, if it commits.
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

    /// How far it has come so far.
    public var progress: Progress { state.withLock { $0.progress } }
    /// Why it failed, if it has.
    public var failure: CheckpointError? { state.withLock { $0.failure } }

    /// What it did, once it is committed.
    public var report: SaveReport? { state.withLock { $0.report } }

    /// Waits until the save has come as far as `goal`.
    /// - Throws: the save's failure, or code `timedOut`.
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

    /// Gives the save up. It fails with code `cancelled`, unless it is being committed already.
    public func cancel() { onCancel(self) }

    func advance(to progress: Progress) { state.withLock { $0.progress = max($0.progress, progress) } }
    func commit(_ report: SaveReport) { state.withLock { ($0.report, $0.progress) = (report, .committed) } }
    func fail(_ error: CheckpointError) { state.withLock { $0.failure = error } }
}
