internal import Glibc

/// Work at the normal end of the process (atexit(3)).
package enum ProcessExit {
    private static let bodies = Monitor<[@Sendable () -> Void]>([])

    /// Has a closure called when the process ends by `exit` or by returning from `main`.
    ///
    /// - Parameter body: Called on the thread that ends the process; the other threads still run.
    package static func add(_ body: @escaping @Sendable () -> Void) {
        let isFirst = bodies.withLock { bodies in
            bodies.append(body)
            return bodies.count == 1
        }
        if isFirst { atexit { ProcessExit.run() } }
    }

    private static func run() { for body in bodies.withLock({ $0 }) { body() } }
}
