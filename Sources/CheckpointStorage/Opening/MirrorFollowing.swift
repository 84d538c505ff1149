public import CheckpointFormat

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
