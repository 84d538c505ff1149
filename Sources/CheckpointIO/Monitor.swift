internal import Glibc

/// A value behind a lock, with conditions to wait for. (Used throughout instead of `Synchronization.Mutex`, whose locking the thread
/// sanitizer does not see.) The body of `withLock` is the only place that sees the value.
///
/// Threads that wait for different things may wait on different channels, so that a change wakes only those whom it concerns.
@safe
package final class Monitor<State>: @unchecked Sendable {
    /// Which channels a state of affairs concerns: bit `c` is channel `c`. One waiter of each is woken, but all of channel 0.
    package typealias Channels = UInt32

    private var state: State
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let conditions: UnsafeMutablePointer<pthread_cond_t>
    private let channelCount: Int
    private let concerned: @Sendable (borrowing State) -> Channels

    /// - Parameters:
    ///   - channels: number of channels, at most 32.
    ///   - concerned: asked after every change whom to wake. Channel 0 is woken by every change, and need not be named.
    package init(
        _ state: State, channels: Int = 1, concerned: @escaping @Sendable (borrowing State) -> Channels = { _ in 1 }
    ) {
        precondition((1...32).contains(channels))
        self.state = state
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

    /// Runs `body` with exclusive access to the value, then wakes those who wait for such a change.
    package func withLock<R, E: Error>(_ body: (inout State) throws(E) -> R) throws(E) -> R {
        unsafe pthread_mutex_lock(mutex)
        defer {
            wake()
            unsafe pthread_mutex_unlock(mutex)
        }
        return try body(&state)
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

    /// Waits until `body` returns a value. It is called under the lock, at first and whenever the channel is woken.
    package func waitFor<R>(on channel: Int = 0, _ body: (inout State) -> R?) -> R {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&state) {
                wake()
                return result
            }
            unsafe pthread_cond_wait(conditions + channel, mutex)
        }
    }

    /// As `waitFor`, but gives up after `timeout` and returns nil.
    package func waitFor<R>(timeout: Duration, _ body: (inout State) -> R?) -> R? {
        let deadline = Self.deadline(after: timeout)
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
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
