import CheckpointBench
import Testing

@Suite(.timeLimit(.minutes(20))) struct StatisticsTests {
    @Test func aSpreadIsTheOrderOfItsSamples() {
        let odd = Spread([3, 1, 2])
        #expect((odd.median, odd.min, odd.max) == (2, 1, 3))
        #expect(odd.n == 3)
        #expect(Spread([4, 1, 2, 100]).median == 3)
        #expect(Spread([-1.5]) == Spread([-1.5]) && Spread([-1.5]).median == -1.5)
    }

    @Test func noSamplesAreZeros() {
        let none = Spread([])
        #expect((none.median, none.min, none.max) == (0, 0, 0))
        #expect(none.n == 0)
        #expect(Spread.percentile(0.99, of: []) == 0)
    }

    @Test(arguments: [(0.0, 1.0), (0.5, 50.0), (0.501, 51.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)])
    func percentilesAreNearestRanks(_ fraction: Double, _ expected: Double) {
        // 1 to 100 in another order: 101 is a prime.
        let unsorted = (1...100).map { Double($0 * 37 % 101) }
        #expect(Spread.percentile(fraction, of: unsorted) == expected)
    }

    @Test func aPercentileOfFewSamplesIsTheLargest() {
        #expect(Spread.percentile(0.99, of: [5, 9, 7]) == 9)
    }
}
