internal import CheckpointStorage

/// Spreads writes over time, so that the disk is left to others. A plain value: it says how long to wait, and waits for nothing.
struct RateLimiter {
    private let bytesPerSecond: Int?
    /// When everything admitted so far is paid for.
    private var paidUntil: ContinuousClock.Instant?

    /// - Parameter bytesPerSecond: nil is no limit.
    init(bytesPerSecond: Int?) { self.bytesPerSecond = bytesPerSecond }

    /// How long to wait before writing `bytes` bytes. Time that passed unused is not saved up.
    mutating func delay(before bytes: Int, now: ContinuousClock.Instant) -> Duration {
        guard let bytesPerSecond else { return .zero }
        let start = max(paidUntil ?? now, now)
        paidUntil = start + .seconds(Double(bytes) / Double(bytesPerSecond))
        return start - now
    }
}
