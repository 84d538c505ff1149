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
        /// Returns the checkpoints that need not be sent; gets what the mirror has.
        var unwanted:
            @Sendable (Set<ManifestName>) throws(CheckpointError) -> Set<ManifestName> = { _ in [] }
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

    /// Memory of the thread from round to round.
    private struct History {
        var pause = pauses.first
        /// The last cause of a failure that was reported.
        var reported: String?
        /// When the mirror was tidied, and whether something was sent since.
        var tidied: ContinuousClock.Instant?
        var isUntidy = true
        var newestAtStart: ManifestName?
    }

    private static func run(
        _ work: Work, _ cancellation: Cancellation, _ state: Monitor<State>,
        _ onEvent: @Sendable (MirrorEvent) -> Void
    ) {
        var history = History(newestAtStart: work.newestAtStart)
        while !cancellation.isCancelled {
            let changes = state.withLock { state in
                state.isAsked = false
                return state.changes
            }
            do throws(CheckpointError) {
                // A newer checkpoint comes first.
                guard try round(changes, work, cancellation, state, &history, onEvent) else {
                    continue
                }
                history.pause = pauses.first
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
                    if history.reported != cause { onEvent(.failed(error)) }
                    history.reported = cause
                }
                // New checkpoints do not end the pause: they would fail, too.
                let pause = error.code == .busy ? pauses.first : history.pause
                _ = state.waitFor(timeout: pause) { $0.isStopped || $0.isAsked ? true : nil }
                history.pause = min(history.pause * 2, pauses.longest)
            }
        }
    }

    /// Brings the mirror up to date once.
    ///
    /// - Returns: false if a newer checkpoint has come, and not everything was sent.
    private static func round(
        _ changes: Int, _ work: Work, _ cancellation: Cancellation, _ state: Monitor<State>,
        _ history: inout History, _ onEvent: @Sendable (MirrorEvent) -> Void
    ) throws(CheckpointError) -> Bool {
        let mirror = try connected(work, cancellation, state)
        let report = try mirror.synchronize(cancellation: cancellation) {
            state.withLock { $0.changes } > changes
        } onMirrored: { row in
            history.isUntidy = true
            onEvent(.mirrored(step: row.step, newBytes: row.newBytes))
        } onProgress: { _, _ in
        } unwanted: { mirrored throws(CheckpointError) in
            try work.unwanted(mirrored)
        }
        if report.markCount > 0 { history.isUntidy = true }
        let step = report.newestStep(after: history.newestAtStart)
        if let step { onEvent(.ahead(step: step)) }
        history.newestAtStart = nil
        // A damaged checkpoint keeps nothing else from being sent.
        let damage = report.checkpoints.first { $0.outcome == .failed }?.error
        if let damage, history.reported != Self.cause(of: damage) {
            onEvent(.failed(damage))
            history.reported = Self.cause(of: damage)
        }
        guard report.isComplete else { return false }
        let isTime = history.tidied.map { $0.duration(to: .now) >= work.tidyEvery } ?? true
        if history.isUntidy, isTime {
            try work.tidyUp()
            (history.tidied, history.isUntidy) = (.now, false)
        }
        state.withLock { state in  // What is damaged is not in the mirror.
            state.failure = damage.map { ($0, changes) }
            if damage == nil { state.mirrored = max(state.mirrored, changes) }
            state.obstacle = nil
        }
        if damage == nil {
            if history.reported != nil { onEvent(.recovered) }
            history.reported = nil
        }
        return true
    }
}
