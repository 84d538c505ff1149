internal import CheckpointIO
internal import Foundation

/// The threads that upload segments while they are written, and the space that segments take on
/// this machine until then. Thread-safe.
final class SpoolUploader: Sendable {
    typealias Job = @Sendable () -> Void

    private struct State {
        var jobs: [Job] = []
        /// Jobs that were added and have not ended.
        var pending = 0
        /// Bytes that segments take on this machine.
        var used = 0
        var threadCount = 0
        var isClosed = false
    }

    private let bytesMax: Int
    private let threadsMax: Int
    private let state = Monitor(State())

    /// Space that is taken however little is free, in bytes.
    static let bytesMin = 128 << 20

    /// Creates an uploader; starts no thread yet.
    ///
    /// - Parameters:
    ///   - bytesMax: space from which on writers wait for uploads, in bytes.
    ///   - threadsMax: maximum number of threads.
    init(bytesMax: Int, threadsMax: Int = 4) {
        (self.bytesMax, self.threadsMax) = (bytesMax, threadsMax)
    }

    deinit { state.withLock { $0.isClosed = true } }

    /// Takes space; waits for uploads if that is more than the maximum. Where nothing is uploaded,
    /// nothing would become free, and it does not wait.
    func reserve(_ count: Int) {
        let bytesMax = bytesMax
        state.waitFor { state -> Void? in
            guard state.used + count <= bytesMax || state.pending == 0 else { return nil }
            state.used += count
            return ()
        }
    }

    /// Gives space back.
    func release(_ count: Int) { state.withLock { $0.used -= count } }

    /// Adds an upload, which any of the threads makes. Without a thread, makes it at once.
    func add(_ job: @escaping Job) {
        let number = state.withLock { state -> Int? in
            state.jobs.append(job)
            state.pending += 1
            guard state.threadCount < min(threadsMax, state.pending) else { return nil }
            state.threadCount += 1
            return state.threadCount
        }
        guard let number else { return }
        let state = state
        // It yields to the training loop, which does not wait for it. Without it, those that there
        // are make the upload, or else this one.
        let thread = try? WorkerThread(name: "ckpt-spool-\(number)", niceness: 10) {
            Self.work(state)
        }
        if thread == nil {
            let job = state.withLock { state -> Job? in
                state.threadCount -= 1
                return state.threadCount == 0 ? state.jobs.popLast() : nil
            }
            if let job { Self.run(job, state) }
        }
    }

    private static func work(_ state: Monitor<State>) {
        while true {
            let job = state.waitFor { state -> Job?? in
                if !state.jobs.isEmpty { return .some(state.jobs.removeFirst()) }
                return state.isClosed ? .some(nil) : nil
            }
            guard let job else { return }
            run(job, state)
        }
    }

    private static func run(_ job: Job, _ state: Monitor<State>) {
        job()
        state.withLock { $0.pending -= 1 }
    }
}
