import CheckpointStorage
import Dispatch
import Foundation
import Synchronization

/// Stops a verb that writes when a signal asks it to end: Control-C, a process manager, a closed terminal (signal(7)). The
/// verb deletes its incomplete results, and the process then ends with the status of the signal. Complete results stay, and
/// the process ends as if there had been no signal.
enum Interruption {
    private enum Phase {
        /// Nothing is being written: a signal ends the process.
        case idle
        case writing(Cancellation)
        /// The first signal has arrived; the next one ends the process.
        case stopping(by: Int32)
        /// The results are in their places, and the verb is about to end.
        case complete
    }

    private static let phase = Mutex(Phase.idle)
    private static let isListening = Mutex(false)

    /// Runs `body`. The first signal cancels; the second ends the process immediately.
    ///
    /// - Parameter body: what writes. If it cannot be cancelled, it is completed first.
    static func cancelling<R>(_ body: (Cancellation) throws -> R) rethrows -> R {
        listen()
        // A signal between two pieces of work.
        endIfInterrupted()
        let cancellation = Cancellation()
        phase.withLock { $0 = .writing(cancellation) }
        do {
            let result = try body(cancellation)
            leave(for: .complete)
            return result
        } catch {
            leave(for: .idle)
            throw error
        }
    }

    /// Ends the process as the signal would have, if one has cancelled the verb.
    static func endIfInterrupted() {
        if case .stopping(let number) = phase.withLock({ $0 }) { end(by: number) }
    }

    /// A signal that has arrived is remembered.
    private static func leave(for next: Phase) {
        phase.withLock { phase in
            if case .writing = phase { phase = next }
        }
    }

    /// Listens to the signals: once there are results to delete, or a progress line to clear. The
    /// sources live as long as the process: their handlers refer to them.
    static func listen() {
        let wasListening = isListening.withLock { isListening in
            defer { isListening = true }
            return isListening
        }
        guard !wasListening else { return }
        for number in [SIGINT, SIGTERM, SIGHUP] where !isIgnored(number) {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { withExtendedLifetime(source) { receive(number) } }
            source.resume()
        }
    }

    /// True if the parent process has set the signal to be ignored, as nohup(1) does (proc_pid_status(5), SigIgn).
    private static func isIgnored(_ number: Int32) -> Bool {
        // If the system does not say, the signal is not ignored.
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("SigIgn:") }
        let mask =
            line.flatMap { UInt64($0.dropFirst(7).trimmingCharacters(in: .whitespaces), radix: 16) }
            ?? 0
        return mask >> UInt64(number - 1) & 1 == 1
    }

    private static func receive(_ number: Int32) {
        let earlier = phase.withLock { phase in
            defer { phase = .stopping(by: number) }
            return phase
        }
        switch earlier {
        case .writing(let cancellation):
            ProgressLine.clear()
            Output.warn("interrupted: stopping. Press Control-C again to stop immediately")
            cancellation.cancel()
        case .complete: break
        case .idle, .stopping: end(by: number)
        }
    }

    private static func end(by number: Int32) {
        ProgressLine.clear()
        CommandProcess.end(bySignal: number)
    }
}
