internal import Checkpointing

/// Figures computed from the samples. Formats/cli-json.md defines them.
struct Figures {
    let submit: Spread
    let stall: Spread
    let stall99: Double
    let fence: Spread
    let backpressure: Spread
    let durable: Spread
    let committedSpeed: Spread
    let newBytes: Spread
    let perceivedSpeed: Double
    let slowdown: Double
    let endToEnd: Double
    let recoveryAge: Spread
    let isSlowestFirst: Bool

    /// Computes all figures.
    ///
    /// - Parameters:
    ///   - plain: samples of the loop without checkpoints.
    ///   - engine: samples of the loop with checkpoints.
    ///   - bytes: logical size of one checkpoint in bytes.
    init(plain: PlainPhase, engine: EngineSamples, bytes: Int) {
        let saves = engine.saves
        let gigabytes = Double(bytes) / 1e9
        submit = Spread(saves.map { $0.submit * 1e3 })
        let stalls = saves.map { $0.stepTime - plain.median }
        stall = Spread(stalls)
        stall99 = Spread.percentile(0.99, of: stalls)
        fence = Spread(saves.map(\.fence))
        backpressure = Spread(saves.map(\.backpressure))
        durable = Spread(saves.compactMap { $0.report?.timeToDurable.seconds })
        committedSpeed = Spread(saves.compactMap(\.committed).map { gigabytes / $0 })
        newBytes = Spread(saves.compactMap { $0.report.map { Double($0.newBytes) } })
        perceivedSpeed = gigabytes / Spread(saves.map { $0.submit + $0.fence + $0.backpressure }).median
        slowdown = Spread(engine.steps).median / plain.median - 1
        endToEnd = engine.wholeTime / (Double(engine.steps.count) * plain.median)
        recoveryAge = Spread(Self.recoveryAges(saves))
        let slowest = saves.max { ($0.committed ?? 0) < ($1.committed ?? 0) }
        isSlowestFirst = slowest?.step == saves.first?.step
    }

    /// Returns the amount of work, in seconds, that a failure just before each commit would have
    /// lost: the work since the previous save was requested, or since the beginning.
    private static func recoveryAges(_ saves: [SaveRecord]) -> [Double] {
        var previous = 0.0
        return saves.compactMap { save in
            guard let committed = save.committed else { return nil }
            defer { previous = save.called }
            return save.called + committed - previous
        }
    }
}
