internal import CPlatform
internal import Glibc

/// A thread of our own for work that blocks: file writes and compression would starve Swift's cooperative pool, which has
/// only as many threads as the machine has cores.
package final class WorkerThread: @unchecked Sendable {
    private var thread = pthread_t()
    private var isJoined = false

    /// - Parameters:
    ///   - name: shown by `top -H` and debuggers; at most 15 bytes.
    ///   - niceness: makes it a background thread: 0 shares a core evenly, 19 yields to everything else, and none pushes
    ///     another thread off its core when it wakes. Nil is a thread like any other.
    package init(name: String, niceness: Int32? = nil, _ body: @escaping @Sendable () -> Void) {
        let start = unsafe Unmanaged.passRetained(Start(name: String(name.prefix(15)), niceness: niceness, body: body))
        let result = unsafe pthread_create(
            &thread, nil,
            { argument in
                let start = unsafe Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                start.run()
                return nil
            }, start.toOpaque())
        precondition(result == 0, "no thread could be created")
    }

    /// Waits for the body to return. Call it once.
    package func join() {
        precondition(!isJoined)
        isJoined = true
        pthread_join(thread, nil)
    }

    private final class Start: Sendable {
        let name: String
        let niceness: Int32?
        let body: @Sendable () -> Void

        init(name: String, niceness: Int32?, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.niceness = niceness
            self.body = body
        }

        func run() {
            unsafe cp_thread_set_name(name)
            if let niceness { cp_thread_set_background(niceness) }
            body()
        }
    }
}
