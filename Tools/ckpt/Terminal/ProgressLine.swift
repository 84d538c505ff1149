import Foundation
import Synchronization

/// The progress of a verb, on standard error: one line that is written over on a terminal, or a line
/// every ten seconds elsewhere. Nothing with `--quiet`.
struct ProgressLine: Sendable {
    /// True if the progress line is overwritten.
    static var isShown: Bool { Terminal.showsErrors && !Output.settings.isQuiet }

    private struct State {
        var pace: ProgressPace
        /// True if there is a line to clear.
        var isShown = false
    }

    private static let state = Mutex(
        State(pace: ProgressPace(isTerminal: Terminal.showsErrors, now: .now)))
    private let verb: String

    init(_ verb: String) {
        self.verb = verb
        Self.state.withLock { $0.pace = ProgressPace(isTerminal: Terminal.showsErrors, now: .now) }
    }

    /// Shows how much of the work is done, in bytes.
    func show(_ done: Int, of total: Int) {
        guard total > 0 else { return }
        Self.show { pace, now in pace.text(verb, done, of: total, at: now) }
    }

    /// Shows the step that begins, for a verb whose steps have no size.
    static func tell(_ text: String) { show { _, _ in text } }

    private static func show(_ text: (ProgressPace, ContinuousClock.Instant) -> String) {
        guard !Output.settings.isQuiet else { return }
        state.withLock { state in
            let now = ContinuousClock.now
            guard state.pace.isDue(at: now) else { return }
            let text = Output.visible(text(state.pace, now))
            if Terminal.showsErrors, !state.isShown {
                state.isShown = true
                Interruption.listen()
            }
            Output.tell(Terminal.showsErrors ? "\r\(text)\u{1B}[K" : "ckpt: \(text)\n")
        }
    }

    /// Clears the line before something else is printed.
    static func clear() {
        state.withLock { state in
            if state.isShown { Output.tell("\r\u{1B}[K") }
            state.isShown = false
        }
    }
}
