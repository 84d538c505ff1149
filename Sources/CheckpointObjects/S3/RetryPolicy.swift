/// When a failed request is sent again: after a pause that doubles, with jitter, until the attempts
/// or the time are used up. Plain values; the caller brings the clock and the draw.
struct RetryPolicy: Sendable {
    /// Maximum number of requests for one operation.
    var attempts = S3Settings.attemptsUsual
    /// Time of the whole operation with all its requests.
    var time = Duration.seconds(120)
    /// Maximum number of requests while there never was an answer: the address may be wrong, and
    /// somebody waits to be told.
    private static let attemptsWithoutAnswer = 3
    /// Half of the longest first pause, in seconds.
    var shortest = 0.05
    private static let longest = 10.0

    /// The policy until the first answer.
    var beforeFirstAnswer: RetryPolicy {
        var policy = self
        policy.attempts = min(attempts, Self.attemptsWithoutAnswer)
        // There is time for a name server or a link that is just about to come up.
        policy.shortest = 0.5
        return policy
    }

    /// Returns the pause before the next request, in seconds.
    ///
    /// - Parameters:
    ///   - attempt: number of requests that have failed, from 1.
    ///   - wish: seconds that the store asks to wait, from `Retry-After`.
    ///   - elapsed: time since the first request.
    ///   - draw: random number between 0 and 1.
    /// - Returns: the pause; nil if there is no further request.
    func pause(
        after attempt: Int, wish: Double?, elapsed: Duration, draw: Double
    ) -> Double? {
        guard attempt < attempts else { return nil }
        let bound = min(shortest * Double(1 << min(attempt, 20)), Self.longest)
        // At least half of it, so that many clients that fail together spread out and still wait.
        let pause = max(bound * (0.5 + 0.5 * draw), min(wish ?? 0, 60))
        guard elapsed + .seconds(pause) < time else { return nil }
        return pause
    }
}
