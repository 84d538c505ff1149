internal import Glibc
internal import Synchronization

/// SIGTERM as a request to finish work in progress. The handler only writes a byte to a pipe; a
/// thread waits at the other end.
package enum TerminationSignal {
    private struct State {
        var isInstalled = false
        var earlier = sigaction()
        var thread: WorkerThread?
    }

    private static let state = Monitor(State())
    /// Descriptor for the handler, which may only make system calls (signal-safety(7)).
    private static let writeEnd = Atomic<Int32>(-1)
    private static let received = Atomic<Bool>(false)
    /// The process whose thread waits: a child made by fork(2) has the handler, and no thread.
    private static let process = Atomic<Int32>(0)

    /// True after SIGTERM has arrived.
    package static var isReceived: Bool { received.load(ordering: .relaxed) }

    /// Installs the handler. A second call does nothing.
    ///
    /// - Parameter finish: Called once, on a separate thread, after SIGTERM has arrived. When it
    ///   returns, the earlier action of the signal is restored; if it returns true, the signal
    ///   acts.
    /// - Throws: `ThreadError` if the thread cannot be started.
    package static func install(_ finish: @escaping @Sendable () -> Bool) throws(ThreadError) {
        try state.withLock { state throws(ThreadError) in
            guard !state.isInstalled else { return }
            var ends: [Int32] = [-1, -1]
            guard unsafe pipe(&ends) == 0 else { return }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            let readEnd = ends[0]
            state.thread = try WorkerThread(name: "ckpt-signal") {
                wait(readEnd)
                let acts = finish()
                restore()
                if acts { kill(getpid(), SIGTERM) }
            }
            writeEnd.store(ends[1], ordering: .relaxed)
            process.store(getpid(), ordering: .relaxed)
            var action = sigaction()
            unsafe action.__sigaction_handler.sa_handler = { _ in
                guard getpid() == TerminationSignal.process.load(ordering: .relaxed) else {
                    _ = signal(SIGTERM, SIG_DFL)
                    raise(SIGTERM)
                    return
                }
                var byte: UInt8 = 1
                TerminationSignal.received.store(true, ordering: .relaxed)
                _ = unsafe write(TerminationSignal.writeEnd.load(ordering: .relaxed), &byte, 1)
            }
            action.sa_flags = SA_RESTART
            unsafe sigaction(SIGTERM, &action, &state.earlier)
            state.isInstalled = true
        }
    }

    /// Lets the calling thread receive a signal (pthread_sigmask(3)).
    ///
    /// - Parameter number: the signal.
    package static func unblock(_ number: Int32) {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe sigaddset(&signals, number)
        unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }

    private static func wait(_ readEnd: Int32) {
        // Programs that start trainers may have blocked the signal in all threads.
        unblock(SIGTERM)
        var byte: UInt8 = 0
        while unsafe read(readEnd, &byte, 1) < 0, errno == EINTR {}
    }

    private static func restore() {
        var earlier = state.withLock { $0.earlier }
        unsafe sigaction(SIGTERM, &earlier, nil)
    }
}
