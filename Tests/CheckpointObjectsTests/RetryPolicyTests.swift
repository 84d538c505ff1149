import Testing

@testable import CheckpointObjects

@Suite("Retries", .timeLimit(.minutes(10)))
struct RetryPolicyTests {
    private let policy = RetryPolicy()

    private func pause(
        after attempt: Int, wish: Double? = nil, elapsed: Duration = .zero, draw: Double = 1
    ) -> Double? {
        policy.pause(after: attempt, wish: wish, elapsed: elapsed, draw: draw)
    }

    @Test("Pauses double up to ten seconds, and are never less than half of that")
    func doubling() throws {
        let longest = (1..<10).compactMap { pause(after: $0) }
        #expect(longest == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10])
        for (attempt, bound) in zip(1..<10, longest) {
            for draw in [0, 0.25, 0.5, 1] {
                #expect(pause(after: attempt, draw: draw) == bound * (0.5 + 0.5 * draw))
            }
        }
    }

    @Test("After the last attempt there is none")
    func attempts() {
        #expect(pause(after: 15) != nil)
        #expect(pause(after: 16) == nil)
        var single = policy
        single.attempts = 1
        #expect(single.pause(after: 1, wish: nil, elapsed: .zero, draw: 1) == nil)
    }

    @Test("A store that starts again within 45 seconds is waited for")
    func outage() {
        for draw in [0.0, 1] {
            let pauses = (1..<policy.attempts).compactMap { pause(after: $0, draw: draw) }
            #expect(pauses.reduce(0, +) > 45 && pauses.reduce(0, +) < 100, "\(pauses)")
        }
    }

    @Test("A store that asks to wait is obeyed for at most a minute")
    func wish() {
        #expect(pause(after: 1, wish: 7) == 7)
        #expect(pause(after: 1, wish: 3600) == 60)
        #expect(pause(after: 1, wish: -5) == 0.1)
        #expect(pause(after: 7, wish: 1) == 6.4)
    }

    @Test("No pause goes on beyond the time of the operation")
    func deadline() {
        #expect(pause(after: 7, elapsed: .seconds(113)) == 6.4)
        #expect(pause(after: 7, elapsed: .seconds(114)) == nil)
        #expect(pause(after: 1, wish: 60, elapsed: .seconds(61)) == nil)
    }

    @Test("Before the first answer there are three attempts, over seconds")
    func beforeFirstAnswer() {
        let first = policy.beforeFirstAnswer
        #expect((1...3).map { first.pause(after: $0, wish: nil, elapsed: .zero, draw: 1) } == [1, 2, nil])
    }
}
