internal import CheckpointIO

/// The trainer's threads: the calling thread and helpers, which all execute one closure at a time,
/// like an OpenMP thread pool.
final class Team: Sendable {
    private struct Work {
        var body: (@Sendable (Int) -> Void)?
        /// Number of the current closure, so that no helper runs one twice.
        var round = 0
        var running = 0
        var isOver = false
    }

    let count: Int
    private let work: Monitor<Work>
    private let helpers: [WorkerThread]

    init(count: Int) throws {
        precondition(count >= 1)
        let work = Monitor(Work())
        (self.count, self.work) = (count, work)
        helpers = try (1..<count).map { number in
            try WorkerThread(name: "trainer-\(number)") { Self.help(number, work) }
        }
    }

    deinit {
        work.withLock { $0.isOver = true }
        for helper in helpers { helper.join() }
    }

    /// Calls `body` on every thread, and returns when all calls have returned.
    ///
    /// - Parameter body: called with the thread's number, from 0.
    func run(_ body: @escaping @Sendable (Int) -> Void) {
        work.withLock { work in
            work.body = body
            work.round += 1
            work.running = count - 1
        }
        body(0)
        work.waitFor { $0.running == 0 ? () : nil }
    }

    private static func help(_ number: Int, _ work: Monitor<Work>) {
        var done = 0
        while let body = next(after: done, work) {
            done += 1
            body(number)
            work.withLock { $0.running -= 1 }
        }
    }

    private static func next(after done: Int, _ work: Monitor<Work>) -> (@Sendable (Int) -> Void)? {
        work.waitFor { work in
            if work.isOver { return .some(nil) }
            return work.round > done ? .some(work.body) : nil
        }
    }
}
