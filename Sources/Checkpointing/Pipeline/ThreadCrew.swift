internal import CheckpointIO
internal import CheckpointState
internal import CheckpointStorage

/// The threads of a pipeline.
///
/// Started and joined on the trainer's thread; `setUrgent` on any thread that waits.
final class ThreadCrew: Sendable {
    private let pipeline: SavePipeline
    private let niceness: Int32
    private let threads = Monitor<(all: [WorkerThread], hasDeviceThreads: Bool)>(([], false))
    /// Number of threads that copy from devices: a chunk is copied while another is hashed.
    private static let deviceThreads = 2

    /// Starts the workers, the writer, and the thread for objects.
    ///
    /// - Throws: `ThreadError`; threads that were started are stopped again.
    init(_ pipeline: SavePipeline, niceness: Int) throws(ThreadError) {
        self.pipeline = pipeline
        self.niceness = Int32(niceness)
        do throws(ThreadError) {
            for worker in 0..<pipeline.configuration.workers {
                try start("ckpt-worker-\(worker)", as: .worker, worker: worker)
            }
            try start("ckpt-writer", as: .writer)
            try start("ckpt-objects", as: .objects)
        } catch {
            pipeline.close()
            join()
            throw error
        }
    }

    /// Starts the threads that copy from devices, unless they run already.
    func startDeviceThreads() throws(ThreadError) {
        guard !threads.withLock({ $0.hasDeviceThreads }) else { return }
        for index in 0..<Self.deviceThreads { try start("ckpt-device-\(index)", as: .device) }
        threads.withLock { $0.hasDeviceThreads = true }
    }

    private func start(
        _ name: String, as role: PipelineStateMachine.Role, worker: Int? = nil
    ) throws(ThreadError) {
        let pipeline = pipeline
        let track = pipeline.configuration.trainer.recorder?.track(named: name) ?? .none
        // The writer computes little, and a thread at low priority may have to wait for a core
        // after every write.
        let niceness = role == .writer ? nil : niceness
        let thread = try WorkerThread(name: name, niceness: niceness) {
            pipeline.work(as: role, worker: worker, track: track)
        }
        threads.withLock { $0.all.append(thread) }
    }

    /// Runs the threads at normal priority while another thread waits for them.
    func setUrgent(_ isUrgent: Bool) {
        threads.withLock { threads in for thread in threads.all { thread.setUrgent(isUrgent) } }
    }

    /// Waits until all threads have stopped; the pipeline must be closed before.
    func join() {
        let all = threads.withLock { threads in
            defer { threads.all = [] }
            return threads.all
        }
        for thread in all { thread.join() }
    }
}
