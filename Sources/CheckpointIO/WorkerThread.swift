internal import CPlatform
internal import Glibc
internal import Synchronization

/// A dedicated thread for blocking work, which receives no signals. File writes and compression would starve Swift's
/// cooperative pool, which has only one thread per core.
package final class WorkerThread: @unchecked Sendable {
    private var thread = pthread_t()
    private var isJoined = false
    private let niceness: Int32?
    private let start: Start

    /// Starts a thread.
    ///
    /// - Parameters:
    ///   - name: Name in `top -H` and in debuggers; cut after 15 characters.
    ///   - niceness: Makes it a background thread: 0 shares a core evenly, 19 yields to all other
    ///     threads, and at any value the thread does not preempt another one when it wakes
    ///     (SCHED_BATCH, sched(7)). Nil makes an ordinary thread.
    ///   - body: Runs on the new thread.
    /// - Throws: `ThreadError` if the system cannot create a thread (pthread_create(3)).
    package init(
        name: String, niceness: Int32? = nil, _ body: @escaping @Sendable () -> Void
    ) throws(ThreadError) {
        self.niceness = niceness
        start = Start(name: String(name.prefix(15)), niceness: niceness, body: body)
        let argument = unsafe Unmanaged.passRetained(start)
        let result = Self.withoutSignals {
            unsafe pthread_create(
                &thread, nil,
                { argument in
                    let start = unsafe Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                    start.run()
                    return nil
                }, argument.toOpaque())
        }
        guard result == 0 else {
            unsafe argument.release()
            // There is no thread to join.
            isJoined = true
            throw ThreadError(name: name, errno: result)
        }
    }

    /// Runs a function that starts threads, which inherit the mask of the calling one: signals are
    /// for the threads of the program (pthread_sigmask(3)).
    package static func withoutSignals<Result>(_ body: () -> Result) -> Result {
        var (all, own) = (sigset_t(), sigset_t())
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(SIG_SETMASK, &all, &own)
        defer { unsafe pthread_sigmask(SIG_SETMASK, &own, nil) }
        return body()
    }

    /// Makes the calling thread, which another library has started, a background thread.
    ///
    /// - Parameter niceness: nice value, from 0 to 19 (sched(7)).
    package static func enterBackground(niceness: Int32) {
        cp_thread_set_background(0, niceness)
    }

    /// Detaches a thread that was not joined, so that its memory is freed when it ends.
    deinit {
        if !isJoined { pthread_detach(thread) }
    }

    /// Switches a background thread between ordinary and background scheduling. Used while another
    /// thread waits for its work. Callable from any thread; no effect on an ordinary thread and on
    /// one that has ended.
    ///
    /// Lowering the nice value needs a privilege; without it only the scheduling class changes
    /// (sched(7)).
    ///
    /// - Parameter isUrgent: True for ordinary scheduling.
    package func setUrgent(_ isUrgent: Bool) {
        let id = start.id.load(ordering: .relaxed)
        guard let niceness, id != 0 else { return }
        if isUrgent { cp_thread_set_foreground(id) } else { cp_thread_set_background(id, niceness) }
    }

    /// Waits for the body to return. Call it at most once.
    package func join() {
        precondition(!isJoined)
        isJoined = true
        pthread_join(thread, nil)
    }

    private final class Start: Sendable {
        let name: String
        let niceness: Int32?
        let body: @Sendable () -> Void
        /// The kernel's id of the thread; 0 before it runs and after it has ended.
        let id = Atomic<Int32>(0)

        init(name: String, niceness: Int32?, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.niceness = niceness
            self.body = body
        }

        func run() {
            unsafe cp_thread_set_name(name)
            if let niceness { cp_thread_set_background(0, niceness) }
            id.store(cp_thread_id(), ordering: .relaxed)
            body()
            id.store(0, ordering: .relaxed)
        }
    }
}
