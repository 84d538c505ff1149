package import CheckpointFormat
internal import Checkpointing

/// Results of a benchmark. Formats/cli-json.md defines the keys and units of `json`.
package struct BenchmarkReport {
    /// The figures of the contract, further figures, and the configuration.
    package let json: JSONValue
    /// Rows of a table: name, median or single figure, minimum, maximum, number of samples.
    package let rows: [[String]]
    /// True if every restore reproduced every bit.
    package let isBitExact: Bool

    init(
        settings: Settings, state: TrainingState, plain: PlainPhase, engine: EngineSamples, restores: RestorePhase,
        writers: [ReferenceWriter], last: SaveReport, peakOverState: Double
    ) {
        let figures = Figures(plain: plain, engine: engine, bytes: last.logicalBytes)
        var list = FigureList()
        list.add("submit_ms", figures.submit)
        list.add("stall_s", figures.stall)
        list.add("stall_p99_s", figures.stall99)
        list.add("fence_s", figures.fence)
        list.add("backpressure_s", figures.backpressure)
        list.add("durable_s", figures.durable)
        list.add("committed_gbps", figures.committedSpeed)
        list.add("perceived_gbps", figures.perceivedSpeed)
        list.add("step_slowdown", figures.slowdown)
        list.add("end_to_end_ratio", figures.endToEnd)
        list.add("recovery_age_s", figures.recoveryAge)
        list.add("bytes_logical", last.logicalBytes)
        list.add("bytes_physical", last.storedBytes)
        list.add("bytes_new", figures.newBytes)
        list.add("peak_rss_over_state", peakOverState)
        list.add("restore_cold_s", Spread(restores.cold).median)
        list.add("restore_warm_s", Spread(restores.warm).median)
        list.add("one_tensor_ms", Spread(restores.oneTensor).median * 1e3)
        list.add("bit_exact", restores.isBitExact)
        for writer in writers { list.add(writer.overwrites ? "writer_recycled_gbps" : "writer_gbps", writer.best.spread) }
        list.add("step_plain_s", Spread(plain.steps))
        list.add("step_engine_s", Spread(engine.steps))
        list.add("arena_high_water_bytes", engine.arenaHighWaterBytes)
        list.add("saves_skipped", engine.skippedCount)
        list.add("max_is_first", figures.isSlowestFirst)
        rows = list.rows
        isBitExact = restores.isBitExact
        json = .object(list.members + Self.details(settings, state, engine, restores, writers))
    }

    private static func details(
        _ settings: Settings, _ state: TrainingState, _ engine: EngineSamples, _ restores: RestorePhase,
        _ writers: [ReferenceWriter]
    ) -> [JSONValue.Member] {
        let sizes: [JSONValue.Member] = [
            .init("tensors", .count(state.tensors.count)), .init("tensor_bytes", .count(state.byteCount)),
            .init("trained_groups", .count(state.groups.count)),
            .init("one_tensor", .string(restores.sample.name)),
            .init("one_tensor_bytes", .count(restores.sample.byteCount)),
        ]
        let variants = writers.map {
            JSONValue.Member($0.overwrites ? "writer_recycled_variant" : "writer_variant", .string($0.best.variant.rawValue))
        }
        return variants + [
            .init("saves", .array(engine.saves.map(\.json))),
            .init("restores_cold_s", .array(restores.cold.map { .number($0) })),
            .init("restores_warm_s", .array(restores.warm.map { .number($0) })),
            .init("configuration", .object(settings.json + sizes + [.init("build", .string(build))])),
            .init("ckpt_version", .string(LibraryVersion.number)),
        ]
    }

    /// Build configuration. Figures of a debug build do not describe the engine.
    package static var build: String {
        #if DEBUG
            "debug"
        #else
            "release"
        #endif
    }
}
