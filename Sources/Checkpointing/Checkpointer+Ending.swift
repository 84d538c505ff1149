internal import CheckpointIO
internal import CheckpointSegments
public import CheckpointState
public import CheckpointStorage
internal import Logging
internal import SystemPackage

extension Checkpointer {
    /// True after the process has received SIGTERM, if `options.onTermination` handles it.
    ///
    /// With `publishNewest` the process ends when the saves in flight are committed; a save that is
    /// requested now may be lost. With `stopTraining` a loop that finds this true saves, and closes
    /// the checkpointer.
    ///
    /// Of several ranks, perhaps only one has received the signal. A loop of theirs takes this
    /// value into a reduction that every step makes anyway, such as that of the gradients, so that
    /// all ranks end after the same step. Any thread; takes no lock.
    public var isTerminating: Bool { TerminationSignal.isReceived }

    /// Waits until everything that is committed is in the mirror, too.
    func finishMirror() {
        guard let mirror else { return }
        pipeline.waitUntilIdle()
        do throws(CheckpointError) {
            try mirror.waitUntilCurrent(within: options.mirrorDeadline)
        } catch {
            // The mirror has already warned of the damaged checkpoint; everything else was sent.
            if error.code == .damaged { return }
            observers.warn(
                "not everything is in the mirror \(store.mirror?.place ?? ""): \(error)"
                    + (error.code == .misuse
                        ? "" : ". The next process that saves to the store sends the rest"))
        }
    }

    /// Waits until everything that is committed now is in the store's mirror.
    ///
    /// - Parameter timeout: maximum time to wait.
    /// - Throws: codes `misuse` (the store has no mirror, or another rank sends it), `timedOut`,
    ///   or the error that keeps the mirror from being brought up to date, which is tried again.
    public func waitUntilMirrored(within timeout: Duration = .seconds(86_400))
        throws(CheckpointError)
    {
        guard let mirror else {
            throw CheckpointError(
                .misuse, "this process does not send \(store.directories.root) to a mirror",
                remedy: "Open the store with a mirror, and wait on rank 0")
        }
        try mirror.waitUntilCurrent(within: timeout)
    }

    /// Has the saves in flight finished if the process ends without `close`.
    func register() throws(ThreadError) {
        try OpenCheckpointers.shared.add(
            .init(
                pipeline: pipeline, crew: crew, mirror: mirror, store: store.directories.root.string,
                exitDeadline: options.exitDeadline, onTermination: options.onTermination))
    }
}

/// Opens a store, runs a training loop with a checkpointer, and closes both, however the loop ends.
///
///     try withCheckpointer("runs/first", state: state) { checkpointer in
///         try checkpointer.resume()
///         ...
///     }
///
/// - Parameters:
///   - path: the store's directory; created, with its parents, if it is missing.
///   - state: the state to save and restore.
///   - options: how to save.
///   - ranks: the processes that save together; nil if this one saves alone.
///   - mirror: a second copy of the store, kept up to date, and resumed from if the store is lost.
///   - body: the training loop. The saves in flight when it ends are finished.
/// - Returns: the result of `body`.
/// - Throws: the error of `body`; otherwise those of `CheckpointStore.open`, `Checkpointer.init` and
///   `Checkpointer.close`, which include the failure of the last save.
public func withCheckpointer<R>(
    _ path: String, state: any StateProvider, options: CheckpointerOptions = CheckpointerOptions(),
    ranks: RankGroup? = nil, mirror: (any CheckpointMirror)? = nil,
    _ body: (Checkpointer) throws -> R
) throws -> R {
    let logger = options.logger
    let store = try CheckpointStore.open(path, for: .writing, ranks: ranks, mirror: mirror) {
        logger.warning("\($0)")
    }
    let checkpointer = try Checkpointer(store: store, state: state, options: options)
    let result = Result { try body(checkpointer) }
    let closing = Result { () throws(CheckpointError) in try checkpointer.close() }
    try store.close()
    // The error of the loop comes first; a failed save has been logged.
    let value = try result.get()
    try closing.get()
    return value
}
