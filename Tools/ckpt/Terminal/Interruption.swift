import Dispatch
import Foundation
import Synchronization

/// Takes back what a verb has half written when it is told to end: by Control-C, by a process manager, by a terminal that is closed
/// (signal(7)). Then it ends as it would have ended without.
enum Interruption {
    private static let unfinished = Mutex<Set<String>>([])
    private static let isListening = Mutex(false)

    /// Once, when there is something to take back. The sources live as long as the process: a handler of theirs refers to them.
    private static func listen() {
        let wasListening = isListening.withLock { isListening in
            defer { isListening = true }
            return isListening
        }
        guard !wasListening else { return }
        for number in [SIGINT, SIGTERM, SIGHUP] where !isIgnored(number) {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { withExtendedLifetime(source) { end(by: number) } }
            source.resume()
        }
    }

    /// Whether the parent process wants the signal ignored, as nohup(1) does (proc_pid_status(5), SigIgn).
    private static func isIgnored(_ number: Int32) -> Bool {
        // A system that does not say ignores nothing.
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("SigIgn:") }
        let mask =
            line.flatMap { UInt64($0.dropFirst(7).trimmingCharacters(in: .whitespaces), radix: 16) }
            ?? 0
        return mask >> UInt64(number - 1) & 1 == 1
    }

    /// Runs `body`, which says what it is about to make under names that are not the last, and has made it or taken it back at its end.
    static func takingBack<R>(
        _ body: (_ announce: @escaping @Sendable (String) -> Void) throws -> R
    ) rethrows -> R {
        listen()
        defer { unfinished.withLock { $0 = [] } }
        return try body { path in unfinished.withLock { _ = $0.insert(path) } }
    }

    private static func end(by number: Int32) {
        ProgressLine.clear()
        unfinished.withLock { paths in
            // What cannot be removed now, nobody else removes; the process ends all the same.
            for path in paths { try? FileManager.default.removeItem(atPath: path) }
        }
        signal(number, SIG_DFL)
        kill(getpid(), number)
        // Where the parent process has the signal blocked: what a shell would report.
        _exit(128 + number)
    }
}
