internal import CheckpointStorage
internal import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import Foundation
internal import SystemPackage

/// Publishes this process's progress to other processes, in a file (Formats/store-layout.md,
/// Status).
///
/// The file is overwritten at most four times a second, by threads that the trainer does not wait
/// for, and is never synced. Nothing is allocated while blocks are written.
final class StatusFile: Sendable {
    private struct State {
        var status: SaveStatus
        var buffer = [UInt8](repeating: 0, count: SaveStatus.bytes)
        var written: ContinuousClock.Instant?
        /// Nil once it is closed, or if it could not be created.
        var file: (any WritableFile)?

        /// Returns true if the file has to be written now.
        mutating func becomesDue(at now: ContinuousClock.Instant) -> Bool {
            guard file != nil, written.map({ now - $0 >= StatusFile.interval }) ?? true else {
                return false
            }
            written = now
            return true
        }
    }

    private static let interval = Duration.milliseconds(250)
    private let path: FilePath
    private let state: Monitor<State>

    /// Creates the file; nil if that fails, since no save depends on it.
    init?(_ directories: StoreDirectories, run: RunID) {
        path = directories.staging.appending("\(run).status")
        // Without the file other processes cannot watch; saves are not affected.
        guard let file = try? POSIXFileSystem(usesDirectIO: false).create(path) else { return nil }
        var status = SaveStatus(run: run)
        (status.process, status.machine) = (Int(ProcessInfo.processInfo.processIdentifier), Machine.identity)
        state = Monitor(State(status: status, written: .now, file: file))
        write(StallReport())
    }

    deinit { close() }

    /// Removes the file. One left over after a crash is removed by the next recovery.
    func close() {
        let file = state.withLock { state in
            defer { state.file = nil }
            return state.file
        }
        guard let file else { return }
        file.close()
        try? POSIXFileSystem().remove(path)  // or the next recovery does
    }

    /// Names the restart of the saves that follow.
    func begins(restart: RunID) { state.withLock { $0.status.run = restart } }

    /// Records an event, and writes the file if it is due.
    ///
    /// - Parameters:
    ///   - event: the event.
    ///   - stall: returns the trainer's waiting time so far; called only if the file is due.
    func observe(_ event: CheckpointEvent, stall: () -> StallReport) {
        let now = ContinuousClock.now
        let isDue = state.withLock { state in
            state.status.observe(event)
            // The trainer's own thread must not wait for the write.
            if case .started = event { return false }
            return state.becomesDue(at: now)
        }
        if isDue { write(stall()) }
    }

    private func write(_ stall: StallReport) {
        state.withLock { state in
            state.status.updated = Clock.milliseconds
            state.status.stall = (stall.submit + stall.fence + stall.backpressure).microseconds
            state.status.encode(into: &state.buffer, digest: Hashing.digest)
            // A failed write is tried again at the next event.
            try? state.file?.write(state.buffer, at: 0)
        }
    }
}

extension SaveStatus {
    /// Applies an event. The status shows the newest save.
    package mutating func observe(_ event: CheckpointEvent) {
        switch event {
        case .started(let step, let id):
            (self.step, self.id, phase, started) = (step, id, .capturing, Clock.milliseconds)
            (written, total) = (0, 0)
        case .progress(let step, let written, let total) where step == self.step: (self.written, self.total) = (written, total)
        case .captured(let step) where step == self.step: phase = .captured
        case .durable(let step) where step == self.step: phase = .durable
        case .committed(let report): committed(report)
        case .failed(let step, _):
            failedCount += 1
            if step == self.step { phase = .failed }
        case .progress, .captured, .durable, .warning: break
        }
    }

    private mutating func committed(_ report: SaveReport) {
        committedCount += 1
        (lastStep, lastBytes, lastNewBytes) = (report.step, report.logicalBytes, report.newBytes)
        lastDuration = report.timeToCommitted.microseconds
        lastStall = (report.stallSubmit + report.stallFence + report.stallBackpressure).microseconds
        if report.step == step { phase = .committed }
    }
}

extension Duration {
    fileprivate var microseconds: Int { Int(self / .microseconds(1)) }
}
