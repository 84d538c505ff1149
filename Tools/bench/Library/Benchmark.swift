package import Checkpointing

/// The `ckpt bench` run: a training loop without checkpoints, the same loop with checkpoints, and
/// restores of the last one.
package struct Benchmark {
    private let settings: Settings

    /// Creates a benchmark.
    ///
    /// - Parameter settings: settings whose `mistake` is nil.
    package init(_ settings: Settings) {
        precondition(settings.mistake == nil)
        self.settings = settings
    }

    /// Runs the benchmark. Creates the store, and removes it at the end unless the settings keep
    /// it, or this process is one of several ranks.
    ///
    /// - Parameters:
    ///   - meet: waits for the other ranks; called before a phase that they begin together.
    ///   - progress: called with the name of each phase when it begins.
    /// - Returns: the report.
    /// - Throws: `CheckpointError` with code `misuse` if the store's directory is in use or a
    ///   workload is wrong; otherwise the engine's errors.
    package func run(
        meet: () throws(CheckpointError) -> Void = {}, progress: (String) -> Void = { _ in }
    ) throws(CheckpointError) -> BenchmarkReport {
        guard settings.place == nil else {
            return try translating("benchmark") { try measure(meet, { _ in }) }
        }
        try BenchmarkStore(settings).requireNew()
        defer { if !settings.keepsStore { BenchmarkStore(settings).remove() } }
        return try translating("benchmark") { try measure(meet, progress) }
    }

    private func measure(
        _ meet: () throws(CheckpointError) -> Void, _ progress: (String) -> Void
    ) throws -> BenchmarkReport {
        progress("creating the state")
        let state = try loadState()
        let trainer = try Trainer(state, threads: settings.computeThreads, computeSeconds: settings.computeSeconds)
        try meet()
        progress("training without checkpoints")
        let plain = PlainPhase(trainer, settings)
        let writers = try makeWriters(state)
        try measure(writers, progress)

        let resident = ProcessMemory.resident
        let peakMemory = try PeakMemory()
        try meet()
        progress("training with checkpoints")
        let engine = try train(trainer)
        let extra = max(peakMemory.stop() - resident, 0)
        try measure(writers, progress)

        guard let last = engine.saves.last(where: { $0.report != nil }), let report = last.report else {
            throw CheckpointError(.misuse, "no save was committed", remedy: "Save less often (--every), or give --backpressure block")
        }
        trainer.undo(settings.steps - last.step + 1)
        try meet()
        progress("restoring")
        let restores = try RestorePhase(state, step: last.step, settings)
        return BenchmarkReport(
            settings: settings, state: state, plain: plain, engine: engine, restores: restores, writers: writers,
            last: report, peakOverState: Double(extra) / Double(state.byteCount))
    }

    private func loadState() throws -> TrainingState {
        switch settings.state {
        case .synthetic(let synthetic):
            try TrainingState(
                synthetic, scale: settings.scale, rank: settings.place?.rank ?? 0,
                of: settings.ranks)
        case .workload(let path): try Workload(path: path).load()
        }
    }

    private func makeWriters(_ state: TrainingState) throws(CheckpointError) -> [ReferenceWriter] {
        var kinds: [Bool] = []
        if settings.measuresWriter { kinds.append(false) }
        if settings.measuresRecycledWriter { kinds.append(true) }
        return try kinds.map { overwrites throws(CheckpointError) in
            try ReferenceWriter(state.memory, path: settings.store + ".baseline", overwrites: overwrites)
        }
    }

    /// Measures the reference writers. It is called before and after the engine's phase, so that a
    /// drift of the machine shows in the spread.
    private func measure(_ writers: [ReferenceWriter], _ progress: (String) -> Void) throws(CheckpointError) {
        if !writers.isEmpty { progress("writing with the reference writer") }
        for writer in writers { try writer.measure(3) }
    }

    private func train(_ trainer: Trainer) throws(CheckpointError) -> EngineSamples {
        var engine = try EnginePhase(trainer, settings)
        return try engine.run()
    }
}
