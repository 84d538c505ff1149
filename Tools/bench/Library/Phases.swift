internal import Checkpointing

/// The training loop without checkpoints: the baseline of all comparisons.
struct PlainPhase {
    /// Durations of the measured steps, in seconds.
    private(set) var steps: [Double] = []

    /// Returns the number of measured steps: enough for a median, but few enough for an interactive
    /// run.
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

/// Samples of the training loop with saves.
struct EngineSamples {
    /// Durations of the measured steps, in seconds.
    var steps: [Double] = []
    /// Saves that were not skipped.
    var saves: [SaveRecord] = []
    /// Time in seconds from the first measured step until the last save was committed and the
    /// workers had stopped.
    var wholeTime = 0.0
    var skippedCount = 0
    var arenaHighWaterBytes = 0
}

/// The training loop with saves.
struct EnginePhase {
    private var samples = EngineSamples()
    private let trainer: Trainer
    private let settings: Settings
    private let checkpointer: Checkpointer
    private let listener = SaveListener()
    private var began = ContinuousClock.now

    /// Creates the store and the checkpointer.
    init(_ trainer: Trainer, _ settings: Settings) throws(CheckpointError) {
        (self.trainer, self.settings) = (trainer, settings)
        var options = settings.options
        options.onEvent = { [listener] in listener.hear($0) }
        let store = try CheckpointStore.open(
            settings.store, for: .writing, usesDirectIO: settings.usesDirectIO,
            ranks: settings.group, mirror: settings.mirror)
        checkpointer = try Checkpointer(store: store, state: trainer.state, options: options)
    }

    /// Runs the warm-up and the loop, and waits for the last save.
    ///
    /// - Returns: the samples.
    /// - Throws: the first failure of a save.
    mutating func run() throws(CheckpointError) -> EngineSamples {
        for _ in 0..<settings.warmup {
            trainer.compute()
            update()
        }
        began = .now
        for step in 1...settings.steps { try run(step) }
        do { try checkpointer.close() } catch {
            // A skipped save was counted when it was skipped.
            if error.code != .skipped { throw error }
        }
        samples.wholeTime = (ContinuousClock.now - began).seconds
        samples.arenaHighWaterBytes = checkpointer.stall.arenaHighWaterBytes
        if let failure = listener.failure { throw failure }
        let reports = listener.reports
        for index in samples.saves.indices { samples.saves[index].report = reports[samples.saves[index].step] }
        return samples
    }

    /// Runs a step. The save is requested at the beginning of the step, so that all of its stall
    /// falls into this step.
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

    /// Requests a save.
    ///
    /// - Returns: time in seconds in `save`, excluding waits for an earlier save, which are counted
    ///as    backpressure and fences; nil if the save was skipped.
    private mutating func save(_ step: Int) throws(CheckpointError) -> Double? {
        let before = checkpointer.stall
        let called = ContinuousClock.now
        let ticket = try checkpointer.save(step: step)
        let elapsed = ContinuousClock.now - called
        guard ticket.failure?.code != .skipped else {
            samples.skippedCount += 1
            return nil
        }
        let after = checkpointer.stall
        let waited = after.backpressure - before.backpressure + after.fence - before.fence
        return (elapsed - waited).seconds
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
