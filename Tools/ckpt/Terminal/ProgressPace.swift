/// The times at which progress is shown, and its text. Pure.
struct ProgressPace {
    /// Time between two updates.
    private let interval: Duration
    private let began: ContinuousClock.Instant
    private var last: ContinuousClock.Instant?

    /// - Parameters:
    ///   - isTerminal: on a terminal a line is written over ten times a second, from the start; in
    ///     a log, lines follow each other at ten seconds.
    ///   - now: the time at which the work began.
    init(isTerminal: Bool, now: ContinuousClock.Instant) {
        interval = isTerminal ? .milliseconds(100) : .seconds(10)
        began = now
        last = isTerminal ? nil : now
    }

    /// Returns true if an update is due, and counts it.
    mutating func isDue(at now: ContinuousClock.Instant) -> Bool {
        if let last, now - last < interval { return false }
        last = now
        return true
    }

    /// Describes progress in bytes: share, speed, and time left.
    func text(_ verb: String, _ done: Int, of total: Int, at now: ContinuousClock.Instant) -> String
    {
        let share = min(max(Double(done) / Double(max(total, 1)), 0), 1)
        let seconds = (now - began) / .seconds(1)
        var text = "\(verb): \(Int(share * 100)) % of \(Output.size(total))"
        // Before that, a speed would be a guess.
        guard seconds >= 1, done > 0 else { return text }
        let speed = Double(done) / seconds
        text += ", \(Output.size(Int(speed)))/s"
        let left = Double(max(total - done, 0)) / speed
        if left >= 1 { text += ", \(Self.time(left)) left" }
        return text
    }

    /// A duration in people's units: `3 s`, `2 min 5 s`, `1 h 12 min`.
    static func time(_ seconds: Double) -> String {
        guard seconds < 1e9 else { return "years" }
        let seconds = Int(seconds.rounded())
        switch seconds {
        case ..<60: return "\(seconds) s"
        case ..<3600: return "\(seconds / 60) min \(seconds % 60) s"
        default: return "\(seconds / 3600) h \(seconds % 3600 / 60) min"
        }
    }
}
