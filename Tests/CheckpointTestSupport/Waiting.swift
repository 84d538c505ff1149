package import CheckpointIO
internal import SystemPackage

/// Returns whether a condition becomes true before a deadline. The condition is evaluated about
/// once per millisecond, and once more at the deadline.
///
/// Use it with `#expect` or `#require`, which record where it was called:
/// `try #require(eventually { !warnings.value.isEmpty })`.
///
/// - Parameters:
///   - limit: time until the deadline. The default is far longer than a loaded machine needs; only
///     a test that fails waits for so long.
///   - condition: runs on the calling thread.
/// - Returns: whether the condition was true.
/// - Throws: the error of `condition`.
package func eventually<E: Error>(
    within limit: Duration = .seconds(120), _ condition: () throws(E) -> Bool
) throws(E) -> Bool {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
        if try condition() { return true }
        sleepMilliseconds(1)
    }
    return try condition()
}

/// Repeats an attempt that fails because something is busy, until it succeeds or a deadline passes.
///
/// - Parameters:
///   - limit: time until the deadline; the error of the last attempt is thrown then.
///   - isBusy: whether to try again after this error. All other errors are thrown immediately.
///   - attempt: runs on the calling thread.
/// - Returns: the result of the first attempt that succeeds.
/// - Throws: the error of the last attempt.
package func retrying<R, E: Error>(
    within limit: Duration = .seconds(120), while isBusy: (E) -> Bool, _ attempt: () throws(E) -> R
) throws(E) -> R {
    let deadline = ContinuousClock.now + limit
    while true {
        do throws(E) { return try attempt() } catch {
            guard isBusy(error), ContinuousClock.now < deadline else { throw error }
        }
        sleepMilliseconds(1)
    }
}

/// Holds threads, such as those that write blocks, until a test opens it.
package final class Gate: Sendable {
    private static let limit = Duration.seconds(120)
    private let state: Monitor<Bool>

    package init(isOpen: Bool) { state = Monitor(isOpen, rank: .unchecked) }

    package var isOpen: Bool {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }

    /// Waits until the gate is open. A gate that stays shut lets go after two minutes, so that a
    /// test ends that failed before it could open the gate.
    ///
    /// - Returns: whether the gate is open.
    @discardableResult
    package func wait() -> Bool { state.waitFor(timeout: Self.limit) { $0 ? true : nil } ?? false }

    /// Holds an operation if it writes to a file; other operations pass.
    ///
    /// - Parameter operation: what `HookedFileSystem` is about to do.
    /// - Throws: error `timedOut` if the gate stays shut.
    package func holdWrite(_ operation: FileOperation) throws(FileSystemError) {
        guard operation.verb.hasPrefix("write"), !wait() else { return }
        throw FileSystemError(operation.verb, operation.path, .timedOut)
    }
}
