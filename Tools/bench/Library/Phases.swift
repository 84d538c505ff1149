internal import Checkpointing

/// The loop without checkpoints: what all else is compared with.
struct PlainPhase {
    /// Durations of the measured steps, in seconds.
    private(set) var steps: [Double] = []

    /// Enough for a median, and no more than a person has patience for.
    static func stepCount(of settings: Settings) -> Int { min(max(settings.steps, 7), 20) }

    init(_ trainer: Trainer, _ settings: Settings) {
        for _ in 0..<settings.warmup { Self.step(trainer) }
        for _ in 0..<Self.stepCount(of: settings) {
            let began = ContinuousClock.now
            Self.step(trainer)
            steps.append((ContinuousClock.now - began).seconds)
        }
    }

    private static func step(_ trainer: Trainer) {
        trainer.compute()
        for group in trainer.groups.indices { trainer.update(group: group) }
        trainer.finishUpdate()
    }

    var median: Double { Spread(steps).median }
}

/// What the loop with saves was seen to do.
struct EngineSamples {
    /// Durations of the measured steps, in seconds.
    var steps: [Double] = []
    /// Those that were not skipped.
    var saves: [SaveRecord] = []
    /// From the first measured step until the last save was committed and the workers had stopped, in seconds.
    var wholeTime = 0.0
    var skippedCount = 0
    var arenaHighWaterBytes = 0
}

/// The same loop with saves.
struct EnginePhase {
    private var samples = EngineSamples()
    private let trainer: Trainer
    private let settings: Settings
    private let checkpointer: Checkpointer
    private let listener = SaveListener()
    private var began = ContinuousClock.now

    /// Makes store and checkpointer.
    init(_ trainer: Trainer, _ settings: Settings) throws(CheckpointError) {
        (self.trainer, self.settings) = (trainer, settings)
        var options = settings.options
        options.onEvent = { [listener] in listener.hear($0) }
        let store = try CheckpointStore.open(settings.store, for: .writing, usesDirectIO: settings.usesDirectIO)
        checkpointer = try Checkpointer(store: store, state: trainer.state, options: options)
    }

    /// Runs warm-up and loop, and waits for the last save.
    /// - Throws: the first failure of a save.
    mutating func run() throws(CheckpointError) -> EngineSamples {
        for _ in 0..<settings.warmup {
            trainer.compute()
            update()
        }
        began = .now
        for step in 1...settings.steps { try run(step) }
        do { try checkpointer.close() } catch {
            // Told when it happened.
            if error.code != .skipped { throw error }
        }
        samples.wholeTime = (ContinuousClock.now - began).seconds
        samples.arenaHighWaterBytes = checkpointer.stall.arenaHighWaterBytes
        if let failure = listener.failure { throw failure }
        let reports = listener.reports
        for index in samples.saves.indices { samples.saves[index].report = reports[samples.saves[index].step] }
        return samples
    }

    /// The state that is saved is the one that the step begins with, so that all of a save's stall falls into its own step.
    private mutating func run(_ step: Int) throws(CheckpointError) {
        let before = checkpointer.stall
        let called = ContinuousClock.now
        let submitted = step % settings.every == 0 ? try save(step) : nil
        checkpointer.trace("forward and backward") { trainer.compute() }
        checkpointer.trace("update") { update() }
        let stepTime = (ContinuousClock.now - called).seconds
        samples.steps.append(stepTime)
        guard let submitted else { return }
        let after = checkpointer.stall
        samples.saves.append(
            SaveRecord(
                step: step, called: (called - began).seconds, submit: submitted,
                fence: (after.fence - before.fence).seconds,
                backpressure: (after.backpressure - before.backpressure).seconds, stepTime: stepTime))
    }

    /// - Returns: seconds in `save`, but for waiting for an earlier one; nil if the save was skipped.
    private mutating func save(_ step: Int) throws(CheckpointError) -> Double? {
        let waitedBefore = checkpointer.stall.backpressure
        let called = ContinuousClock.now
        let ticket = try checkpointer.save(step: step)
        let elapsed = ContinuousClock.now - called
        guard ticket.failure?.code != .skipped else {
            samples.skippedCount += 1
            return nil
        }
        return (elapsed - (checkpointer.stall.backpressure - waitedBefore)).seconds
    }

    private func update() {
        switch settings.capture {
        case .guarded:
            for number in trainer.groups.indices { trainer.update(group: number) }
        case .fenced where settings.usesGroupFences, .checked where settings.usesGroupFences:
            for (number, group) in trainer.groups.enumerated() {
                checkpointer.mutate(group.name) { trainer.update(group: number) }
            }
        case .fenced, .checked:
            checkpointer.mutate { for number in trainer.groups.indices { trainer.update(group: number) } }
        }
        trainer.finishUpdate()
    }
}
