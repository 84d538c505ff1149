@testable import Checkpointing
import Testing

@Suite("When workers capture first", .timeLimit(.minutes(20)))
struct CaptureForecastTests {
    private let start = ContinuousClock.now

    /// A forecast after one save, with a fence after 500 ms, in which a block took 10 ms to capture.
    private var experienced: CaptureForecast {
        var forecast = CaptureForecast()
        forecast.saveBegan(at: start)
        forecast.captured(in: .milliseconds(10))
        forecast.fenceBegan(at: start + .milliseconds(500))
        return forecast
    }

    private func isLate(_ forecast: CaptureForecast, _ blocks: Int, after milliseconds: Int) -> Bool {
        forecast.isLate(blocks: blocks, at: start + .seconds(1) + .milliseconds(milliseconds))
    }

    @Test("nothing is known in the first save")
    func first() {
        var forecast = CaptureForecast()
        forecast.saveBegan(at: start)
        forecast.captured(in: .milliseconds(10))
        #expect(!forecast.isLate(blocks: 1000, at: start + .seconds(10)))
    }

    @Test("the time of the last fence, and that of a block, decide")
    func deadline() {
        var forecast = experienced
        forecast.saveBegan(at: start + .seconds(1))
        // Ten blocks take a thread 100 ms, and are begun 150 ms before the fence.
        #expect(!isLate(forecast, 10, after: 349))
        #expect(isLate(forecast, 10, after: 350))
        #expect(isLate(forecast, 1, after: 600))
        #expect(!isLate(forecast, 0, after: 600))
        #expect(isLate(forecast, 100, after: 0))
    }

    @Test("later fences of the same save do not count; of the next, they do")
    func severalFences() {
        var forecast = experienced
        forecast.fenceBegan(at: start + .milliseconds(900))
        forecast.saveBegan(at: start + .seconds(1))
        #expect(isLate(forecast, 10, after: 350))
    }

    @Test("a fence that came later once does not count; one that came later twice does")
    func irregular() {
        var forecast = experienced
        forecast.saveBegan(at: start + .seconds(1))
        forecast.fenceBegan(at: start + .seconds(2))
        forecast.saveBegan(at: start + .seconds(1))
        #expect(!isLate(forecast, 10, after: 349) && isLate(forecast, 10, after: 350))
        forecast.fenceBegan(at: start + .seconds(2))
        forecast.saveBegan(at: start + .seconds(1))
        #expect(!isLate(forecast, 10, after: 849) && isLate(forecast, 10, after: 850))
    }

    @Test("the time of a block follows the newest")
    func speed() {
        var forecast = experienced
        for _ in 0..<50 { forecast.captured(in: .milliseconds(20)) }
        forecast.saveBegan(at: start + .seconds(1))
        #expect(isLate(forecast, 10, after: 205))
        #expect(!isLate(forecast, 10, after: 195))
    }
}
