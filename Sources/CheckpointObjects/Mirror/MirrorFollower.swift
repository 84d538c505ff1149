internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointStorage

/// Brings a mirror up to date whenever its store changes, on a thread in the background that gives
/// way to all others, until it is stopped.
final class MirrorFollower: MirrorFollowing {
    /// The two actions of a follower, called on its thread, and how often.
    struct Work: Sendable {
        /// Connects to the place of the mirror. Tried again if it fails.
        var connect: @Sendable (Cancellation) throws(CheckpointError) -> StoreMirror
        /// Removes from the mirror what it no longer keeps; called after something was sent.
        var tidyUp: @Sendable () throws(CheckpointError) -> Void
        /// The newest checkpoint of the store when it was opened; nil if it had none.
        var newestAtStart: ManifestName?
        /// Longest time between two looks at the store, which other processes may change, too.
        var lookEvery = Duration.seconds(30)
        /// Shortest time between two calls of `tidyUp`.
        var tidyEvery = Duration.seconds(60)
    }

    private struct State {
        /// Number of changes of the store, and of those that the mirror is up to date with.
        var changes = 1
        var mirrored = 0
        /// Error that kept the last round from sending everything, and the number of changes that
        /// it was to send.
        var failure: (error: CheckpointError, changes: Int)?
        /// The last time that another process had the mirror's lock; nil if it never had.
        var obstacle: CheckpointError?
        /// True if somebody waits: no pause is made.
        var isAsked = false
        var isStopped = false
        /// Nil until it is connected.
        var mirror: StoreMirror?
    }

    private let cancellation = Cancellation()
    private let state: Monitor<State>
    private let thread: Monitor<WorkerThread?>

    /// Pauses after failures: the first, and the longest.
    private static let pauses = (first: Duration.seconds(1), longest: Duration.seconds(60))

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - work: what it does.
    ///   - onEvent: called on the thread of this object.
    /// - Throws: code `io` if the system cannot create a thread.
    init(
        _ work: Work, onEvent: @escaping @Sendable (MirrorEvent) -> Void
    ) throws(CheckpointError) {
        let state = Monitor(State())
        let cancellation = cancellation
        self.state = state
        do throws(ThreadError) {
            let worker = try WorkerThread(name: "ckpt-mirror", niceness: 19) {
                Self.run(work, cancellation, state, onEvent)
            }
            thread = Monitor(worker)
        } catch {
            throw CheckpointError(.io, "the mirror's thread cannot be created: \(error)")
        }
    }

    deinit {
        // Not joined: what is called on the thread may hold the last reference to this object.
        cancellation.cancel()
        state.withLock { $0.isStopped = true }
    }

    func changed() { state.withLock { $0.changes += 1 } }

    func isSending(run: RunID, step: Int) -> Bool {
        state.withLock(\.mirror)?.isSending(ManifestName(run: run, step: step)) ?? false
    }

    func waitUntilCurrent(within timeout: Duration) throws(CheckpointError) {
        let goal = state.withLock { state in
            state.changes += 1
            state.isAsked = true
            return state.changes
        }
        let outcome: Result<Void, CheckpointError>? = state.waitFor(timeout: timeout) { state in
            if state.mirrored >= goal { return .success(()) }
            if let failure = state.failure, failure.changes >= goal {
                return .failure(failure.error)
            }
            return state.isStopped
                ? .failure(CheckpointError(.misuse, "the mirror is stopped")) : nil
        }
        guard let outcome else {
            let obstacle = state.withLock(\.obstacle).map { ": \($0.message)" } ?? ""
            throw CheckpointError(
                .timedOut, "the mirror is not up to date after \(timeout)\(obstacle)",
                remedy: "Run ckpt mirror with the same places: it sends the rest")
        }
        try outcome.get()
    }

    func stop() {
        cancellation.cancel()
        state.withLock { $0.isStopped = true }
        let worker = thread.withLock { worker in
            defer { worker = nil }
            return worker
        }
        worker?.join()
    }

    // MARK: The thread

    /// Returns what two failures have in common that need not both be reported: not the names of
    /// files, which change.
    private static func cause(of error: CheckpointError) -> String {
        let isOfOne = error.code == .damaged || error.code == .unsupported
        let number = error.cause?.errno.map(String.init) ?? ""
        return "\(error.code) \(number) \(isOfOne ? error.message : "")"
    }

    private static func connected(
        _ work: Work, _ cancellation: Cancellation, _ state: Monitor<State>
    ) throws(CheckpointError) -> StoreMirror {
        if let mirror = state.withLock(\.mirror) { return mirror }
        let mirror = try work.connect(cancellation)
        state.withLock { $0.mirror = mirror }
        return mirror
    }

    private static func run(
        _ work: Work, _ cancellation: Cancellation, _ state: Monitor<State>,
        _ onEvent: @Sendable (MirrorEvent) -> Void
    ) {
        var pause = pauses.first
        /// The last cause of a failure that was reported.
        var reported: String?
        /// When the mirror was tidied; true if something was sent since, in any round.
        var (tidied, isUntidy): (ContinuousClock.Instant?, Bool) = (nil, true)
        var newestAtStart = work.newestAtStart
        while !cancellation.isCancelled {
            let changes = state.withLock { state in
                state.isAsked = false
                return state.changes
            }
            do throws(CheckpointError) {
                let mirror = try connected(work, cancellation, state)
                let report = try mirror.synchronize(cancellation: cancellation) {
                    state.withLock { $0.changes } > changes
                } onMirrored: { row in
                    isUntidy = true
                    onEvent(.mirrored(step: row.step, newBytes: row.newBytes))
                }
                isUntidy = isUntidy || report.markCount > 0
                let step = report.newestStep(after: newestAtStart)
                if let step { onEvent(.ahead(step: step)) }
                newestAtStart = nil
                // A damaged checkpoint keeps nothing else from being sent.
                let damage = report.checkpoints.first { $0.outcome == .failed }?.error
                if let damage, reported != Self.cause(of: damage) {
                    onEvent(.failed(damage))
                    reported = Self.cause(of: damage)
                }
                // A newer checkpoint comes first.
                guard report.isComplete else { continue }
                if isUntidy, tidied.map({ $0.duration(to: .now) >= work.tidyEvery }) ?? true {
                    try work.tidyUp()
                    (tidied, isUntidy) = (.now, false)
                }
                state.withLock { state in  // What is damaged is not in the mirror.
                    state.failure = damage.map { ($0, changes) }
                    if damage == nil { state.mirrored = max(state.mirrored, changes) }
                    state.obstacle = nil
                }
                if damage == nil {
                    if reported != nil { onEvent(.recovered) }
                    reported = nil
                }
                pause = pauses.first
                _ = state.waitFor(timeout: work.lookEvery) {
                    $0.isStopped || $0.changes > changes ? true : nil
                }
            } catch {
                guard error.code != .cancelled else { return }
                if error.code == .busy {
                    state.withLock { $0.obstacle = error }
                } else {
                    state.withLock { $0.failure = (error, changes) }
                    let cause = Self.cause(of: error)
                    if reported != cause { onEvent(.failed(error)) }
                    reported = cause
                }
                // New checkpoints do not end the pause: they would fail, too.
                _ = state.waitFor(timeout: error.code == .busy ? pauses.first : pause) { state in
                    state.isStopped || state.isAsked ? true : nil
                }
                pause = min(pause * 2, pauses.longest)
            }
        }
    }
}
