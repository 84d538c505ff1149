internal import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage
internal import Foundation
internal import SystemPackage

/// Publishes this process's progress to other processes, in a file (Formats/store-layout.md,
/// Status).
///
/// The file is overwritten at most four times a second and at each commit, by the thread that
/// reports an event, and is never synced. No lock is held during the write. Neither `save` nor a
/// fence writes it. Nothing is allocated while blocks are written.
final class StatusFile: Sendable {
    private struct State {
        var status: SaveStatus
        /// Nil while a thread writes it.
        var buffer: [UInt8]? = [UInt8](repeating: 0, count: SaveStatus.bytes)
        /// True if the status has changed since a thread took the buffer: that thread writes again.
        var isBehind = false
        var written: ContinuousClock.Instant?
        /// Nil once it is closed, or if it could not be created.
        var file: (any WritableFile)?

        /// Takes the buffer, with the status in it; nil if another thread has it, or at the end.
        mutating func encode() -> (file: any WritableFile, buffer: [UInt8])? {
            isBehind = buffer == nil
            guard let file, var encoded = buffer.take() else { return nil }
            status.encode(into: &encoded, digest: Hashing.digest)
            return (file, encoded)
        }

        /// Returns true if the file has to be written now.
        mutating func becomesDue(at now: ContinuousClock.Instant, isUrgent: Bool) -> Bool {
            let isTime = written.map { now - $0 >= StatusFile.interval } ?? true
            guard file != nil, isUrgent || isTime else { return false }
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
        let isOpen = state.withLock { state in
            // The descriptor is closed when no thread writes any more.
            defer { state.file = nil }
            return state.file != nil
        }
        guard isOpen else { return }
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
            switch event {
            // `save` must not wait for the write.
            case .started: return false
            // `ckpt watch` shows the duration, size and stall of a save with its commit. What was
            // mirrored is seldom, and may be the last event for long.
            case .committed, .mirrored: return state.becomesDue(at: now, isUrgent: true)
            default: return state.becomesDue(at: now, isUrgent: false)
            }
        }
        if isDue { write(stall()) }
    }

    private func write(_ stall: StallReport) {
        var isBehind = true
        while isBehind {
            let encoded = state.withLock { state in
                state.status.updated = Clock.milliseconds
                state.status.stall = (stall.submit + stall.fence + stall.backpressure).microseconds
                return state.encode()
            }
            guard let encoded else { return }
            // A failed write is tried again at the next event.
            try? encoded.file.write(encoded.buffer, at: 0)
            isBehind = state.withLock { state in
                state.buffer = encoded.buffer
                return state.isBehind
            }
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
        case .progress(let step, let written, let total) where step == self.step:
            (self.written, self.total) = (max(self.written, written), total)
        case .captured(let step) where step == self.step: phase = .captured
        case .durable(let step) where step == self.step: phase = .durable
        case .committed(let report): committed(report)
        case .failed(let step, _):
            failedCount += 1
            if step == self.step { phase = .failed }
        case .mirrored(let step, _): (mirroredCount, mirroredStep) = (mirroredCount + 1, step)
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
