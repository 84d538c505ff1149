import Foundation
import Synchronization

/// The line that shows how far a verb has come: on standard error, and only if that is a terminal.
struct ProgressLine {
    /// Whether anybody would see it.
    static var isShown: Bool { isTerminal }

    private static let isTerminal = isatty(STDERR_FILENO) == 1
    private static let shown = Mutex<ContinuousClock.Instant?>(nil)
    private let verb: String

    init(_ verb: String) { self.verb = verb }

    /// Shows it, at most ten times a second.
    func show(_ done: Int, of total: Int) {
        guard Self.isTerminal, total > 0 else { return }
        let now = ContinuousClock.now
        let isDue = Self.shown.withLock { last in
            if let last, now - last < .milliseconds(100) { return false }
            last = now
            return true
        }
        guard isDue else { return }
        let percent = Int(Double(done) / Double(total) * 100)
        Output.tell("\r\(verb) \(percent) % of \(Output.size(total))\u{1B}[K")
    }

    /// Shows what begins, for a verb whose steps have no size.
    static func tell(_ text: String) {
        guard isTerminal else { return }
        shown.withLock { $0 = .now }
        Output.tell("\r\(text)\u{1B}[K")
    }

    /// Takes it away before something else is printed.
    static func clear() {
        let wasShown = shown.withLock { last in
            defer { last = nil }
            return last != nil
        }
        if wasShown { Output.tell("\r\u{1B}[K") }
    }
}
