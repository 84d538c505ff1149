/// Spreads writes over time, to leave disk bandwidth to others. A plain value: it computes the
/// delay, and does not wait.
package struct RateLimiter {
    private let bytesPerSecond: Int
    /// Time at which everything admitted so far is within the limit.
    private var paidUntil: ContinuousClock.Instant?

    /// Creates a limiter.
    ///
    /// - Parameter bytesPerSecond: the limit.
    package init(bytesPerSecond: Int) { self.bytesPerSecond = bytesPerSecond }

    /// Returns the delay before a write of `bytes` bytes. Unused bandwidth of the past is not saved
    /// up.
    package mutating func delay(before bytes: Int, now: ContinuousClock.Instant) -> Duration {
        let start = max(paidUntil ?? now, now)
        paidUntil = start + .seconds(Double(bytes) / Double(bytesPerSecond))
        return start - now
    }
}
