/// Foretells whether the blocks of a save will be captured before training changes the state: it
/// does so as long after `save` as after one of the last two. A plain value: the caller holds the
/// lock and reads the clock.
struct CaptureForecast {
    typealias Instant = ContinuousClock.Instant

    /// Times from the last two saves to the first fence after each. Two, because an evaluation may
    /// follow every other save; to be early costs little.
    private var intervals: [Duration] = []
    /// When the newest save began; nil if a fence has followed it.
    private var began: Instant?
    /// When training is expected to change the state of the newest save; nil if that is unknown.
    private var deadline: Instant?
    /// Mean time in which a thread captures a block, of about the last eight.
    private var blockTime = Duration.zero
    /// How much earlier than necessary everything should be captured: speeds vary.
    private static let margin = 1.5

    mutating func saveBegan(at now: Instant) {
        (began, deadline) = (now, intervals.min().map { now + $0 })
    }

    /// Training is about to change state.
    mutating func fenceBegan(at now: Instant) {
        guard let began else { return }
        intervals = intervals.suffix(1) + [now - began]
        self.began = nil
    }

    mutating func captured(in time: Duration) {
        blockTime = blockTime == .zero ? time : blockTime + (time - blockTime) / 8
    }

    /// Returns whether blocks would be left at the deadline, if workers did anything else now. Only
    /// one is counted on: training may have all other cores.
    ///
    /// - Parameters:
    ///   - blocks: number of blocks that are not captured yet.
    ///   - now: the time.
    func isLate(blocks: Int, at now: Instant) -> Bool {
        guard blocks > 0, let deadline else { return false }
        return now + blockTime * (Double(blocks) * Self.margin) >= deadline
    }
}
