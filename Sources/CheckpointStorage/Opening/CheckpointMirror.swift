public import CheckpointFormat

/// A second copy of a store, at another place: a trainer keeps it up to date while it saves, and
/// resumes from it if the store is lost.
///
/// `BackgroundMirror` in `CheckpointObjects` is one in a bucket or a directory. Implementations may
/// be called on any thread.
public protocol CheckpointMirror: Sendable {
    /// Name of the place, for people: "s3://bucket/prefix".
    var place: String { get }

    /// Opens the copy for reading.
    ///
    /// - Returns: nil if there is no store yet.
    /// - Throws: codes as `CheckpointStore.open`.
    func openStore() throws(CheckpointError) -> CheckpointStore?

    /// Begins to keep the copy up to date, on a thread of its own. The place need not be reachable.
    ///
    /// - Parameters:
    ///   - store: the store that is copied; open for writing.
    ///   - onEvent: called on that thread.
    /// - Returns: the work in the background; it ends with `stop`.
    /// - Throws: code `io` if the system cannot create a thread; `misuse` (options).
    func follow(
        _ store: CheckpointStore, onEvent: @escaping @Sendable (MirrorEvent) -> Void
    ) throws(CheckpointError) -> any MirrorFollowing
}

/// An event of a mirror that is kept up to date.
public enum MirrorEvent: Sendable {
    /// A checkpoint is in the mirror, and can be restored from there. Bytes that were sent for it.
    case mirrored(step: Int, newBytes: Int)
    /// The mirror could not be brought up to date. It is tried again after a pause; training is
    /// not concerned. Reported once for each cause.
    case failed(CheckpointError)
    /// After a failure, the mirror is up to date again.
    case recovered
}

/// A mirror that is being kept up to date. All calls are allowed on any thread.
public protocol MirrorFollowing: AnyObject, Sendable {
    /// A checkpoint was committed, or a mark has changed. Returns at once.
    func changed()

    /// True while a checkpoint is being sent: it must not be removed meanwhile.
    ///
    /// - Parameters:
    ///   - run: id of the restart that saved it.
    ///   - step: its step.
    func isSending(run: RunID, step: Int) -> Bool

    /// Waits until everything is sent that the store holds now.
    ///
    /// - Parameter timeout: maximum time to wait.
    /// - Throws: code `timedOut`, or the error that kept the mirror from being brought up to date.
    func waitUntilCurrent(within timeout: Duration) throws(CheckpointError)

    /// Stops after the request in hand, and waits for the thread. A second call does nothing.
    func stop()
}
