internal import Glibc

/// A value behind a lock, with condition variables to wait on. The value is accessible only in the
/// bodies of `withLock` and `waitFor`. It is used instead of `Synchronization.Mutex`, because the
/// thread sanitizer does not see that type's locking.
///
/// Threads that wait for different conditions can wait on different channels, so that a change
/// wakes only the threads that it concerns.
@safe
package final class Monitor<State>: @unchecked Sendable {
    /// A set of channels: bit `c` is channel `c`. A change wakes one waiter of every channel in the
    /// set, and all waiters of channel 0.
    package typealias Channels = UInt32

    private var state: State
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let conditions: UnsafeMutablePointer<pthread_cond_t>
    private let channelCount: Int
    private let rank: LockRank
    private let concerned: @Sendable (borrowing State) -> Channels

    /// Creates a monitor.
    ///
    /// - Parameters:
    ///   - state: The initial value.
    ///   - rank: Class of the lock, for the check of the order of locks in debug builds.
    ///   - channels: Number of channels, 1 to 32.
    ///   - concerned: Returns the channels to wake for a state. It is called under the lock after
    ///     every change. Every change wakes channel 0, so that channel need not be in the set.
    package init(
        _ state: State, rank: LockRank = .leaf, channels: Int = 1,
        concerned: @escaping @Sendable (borrowing State) -> Channels = { _ in 1 }
    ) {
        precondition((1...32).contains(channels))
        self.state = state
        self.rank = rank
        self.concerned = concerned
        channelCount = channels
        unsafe mutex = .allocate(capacity: 1)
        unsafe conditions = .allocate(capacity: channels)
        unsafe pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        for channel in 0..<channels { unsafe pthread_cond_init(conditions + channel, &attributes) }
    }

    deinit {
        for channel in 0..<channelCount { unsafe pthread_cond_destroy(conditions + channel) }
        unsafe pthread_mutex_destroy(mutex)
        unsafe conditions.deallocate()
        unsafe mutex.deallocate()
    }

    /// Runs `body` with exclusive access to the value, then wakes the waiters that the change
    /// concerns.
    ///
    /// - Parameter body: Runs on the calling thread, under the lock.
    /// - Returns: The result of `body`.
    /// - Throws: The error of `body`.
    package func withLock<R, E: Error>(_ body: (inout State) throws(E) -> R) throws(E) -> R {
        lock()
        defer {
            wake()
            unlock()
        }
        return try body(&state)
    }

    private func lock() {
        #if DEBUG
            // Before the lock is taken: a wrong order must not become a deadlock first.
            HeldLocks.take(rank)
        #endif
        unsafe pthread_mutex_lock(mutex)
    }

    private func unlock() {
        unsafe pthread_mutex_unlock(mutex)
        #if DEBUG
            HeldLocks.release(rank)
        #endif
    }

    private func wake() {
        unsafe pthread_cond_broadcast(conditions)
        guard channelCount > 1 else { return }
        var rest = concerned(state) & ~1
        while rest != 0 {
            unsafe pthread_cond_signal(conditions + rest.trailingZeroBitCount)
            rest &= rest - 1
        }
    }

    /// Waits until `body` returns a value.
    ///
    /// - Parameters:
    ///   - channel: The channel to wait on.
    ///   - body: Runs on the calling thread, under the lock, first immediately and then each time
    ///     the channel is woken. Nil means to continue to wait.
    /// - Returns: The value.
    package func waitFor<R>(on channel: Int = 0, _ body: (inout State) -> R?) -> R {
        lock()
        defer { unlock() }
        while true {
            if let result = body(&state) {
                wake()
                return result
            }
            unsafe pthread_cond_wait(conditions + channel, mutex)
        }
    }

    /// Waits on channel 0 until `body` returns a value, for at most `timeout`.
    ///
    /// - Parameters:
    ///   - timeout: Maximum time to wait, by the monotonic clock. A negative time counts as 0.
    ///   - body: Runs on the calling thread, under the lock, first immediately and then each time
    ///     channel 0 is woken. Nil means to continue to wait.
    /// - Returns: The value; nil after the timeout.
    package func waitFor<R>(timeout: Duration, _ body: (inout State) -> R?) -> R? {
        let deadline = Self.deadline(after: timeout)
        lock()
        defer { unlock() }
        while true {
            if let result = body(&state) {
                wake()
                return result
            }
            var time = deadline
            if unsafe pthread_cond_timedwait(conditions, mutex, &time) == ETIMEDOUT { return body(&state) }
        }
    }

    private static func deadline(after timeout: Duration) -> timespec {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        let (seconds, attoseconds) = max(timeout, .zero).components
        let nanoseconds = now.tv_nsec + Int(attoseconds / 1_000_000_000)
        let carried = now.tv_sec.addingReportingOverflow(Int(clamping: seconds) + nanoseconds / 1_000_000_000)
        return timespec(tv_sec: carried.overflow ? .max : carried.partialValue, tv_nsec: nanoseconds % 1_000_000_000)
    }
}
