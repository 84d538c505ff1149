/// Calls a function for each of many numbers, on several threads: for files whose latency is long
/// compared with the work.
package enum ParallelMap {
    private struct State<R: Sendable, Failure: Error> {
        var next = 0
        var results: [R?]
        /// The failure of the lowest number that has failed.
        var failure: (number: Int, error: Failure)?
    }

    /// Calls `body` with 0 to `count - 1`.
    ///
    /// - Parameters:
    ///   - count: number of calls.
    ///   - name: name of the threads.
    ///   - threadsMax: maximum number of threads, with the caller's.
    ///   - callsPerThread: number of calls below which a thread is not worth it.
    ///   - body: any thread.
    /// - Returns: the results, in order.
    /// - Throws: an error of `body`; of several, that of the lowest number.
    package static func run<R: Sendable, Failure: Error>(
        _ count: Int, name: String, threadsMax: Int = 16, callsPerThread: Int = 8,
        _ body: @escaping @Sendable (Int) throws(Failure) -> R
    ) throws(Failure) -> [R] {
        let state = Monitor(
            State<R, Failure>(results: [R?](repeating: nil, count: count)))
        let work: @Sendable () -> Void = {
            while true {
                let next = state.withLock { state -> Int? in
                    guard state.failure == nil, state.next < count else { return nil }
                    defer { state.next += 1 }
                    return state.next
                }
                guard let next else { return }
                do throws(Failure) {
                    let result = try body(next)
                    state.withLock { $0.results[next] = result }
                } catch {
                    state.withLock { state in
                        guard state.failure.map({ next < $0.number }) ?? true else { return }
                        state.failure = (next, error)
                    }
                }
            }
        }
        let threads = (1..<max(min(count / callsPerThread, threadsMax), 1)).compactMap { index in
            // This thread works too, so fewer threads than wanted are slower and nothing else.
            try? WorkerThread(name: "\(name)-\(index)", work)
        }
        work()
        for thread in threads { thread.join() }
        let (results, failure) = state.withLock { ($0.results, $0.failure) }
        if let failure { throw failure.error }
        return results.compactMap { $0 }
    }
}
