internal import ArgumentParser
internal import CheckpointFormat
internal import CheckpointTestSupport
internal import Foundation

/// Saves by more ranks than a machine has: the engine's own commit and restore planning, on a
/// simulated shared file system.
@main
struct RankSim: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ranksim",
        abstract: "Commits checkpoints of many ranks on simulated storage, and opens them.",
        discussion: """
            Example: ranksim --model 70b 32 64 128 --check 256
            Example: ranksim --model 1t 64 128 256 512 1024 --check 2048 4096

            Fits a model of the time to publish to the first sizes, and compares it with the
            simulation at those after --check. Build with -c release.
            """)

    @Argument(help: "Numbers of ranks: powers of two, at least 8.")
    var sizes: [Int]

    @Option(parsing: .upToNextOption, help: "Numbers of ranks that the model is not fitted to.")
    var check: [Int] = []

    @Option(help: "Model: 70b or 1t.")
    var model = ModelLayout.Model.dense70

    @Option(help: "Mean time of an operation of the storage, in milliseconds.")
    var latencyMs = 1.0

    @Option(help: "Rate of one client of the storage, in MB a second.")
    var bandwidth = 2000.0

    @Option(help: "Seed of the delays.")
    var seed: UInt64 = 1

    func validate() throws {
        for size in sizes + check {
            guard size >= 8, size <= 65_536, size & (size - 1) == 0 else {
                throw ValidationError("\(size) ranks: give powers of two from 8 to 65536")
            }
        }
        guard (0...1000).contains(latencyMs), bandwidth > 0 else {
            throw ValidationError("--latency-ms must be 0 to 1000, and --bandwidth more than 0")
        }
    }

    func run() throws {
        var speed = SharedStorage.Speed()
        (speed.latency, speed.bandwidth) = (latencyMs / 1000, bandwidth * 1e6)
        let simulation = RankSimulation(model: model, speed: speed, seed: seed)
        print(
            "model \(model.rawValue), \(latencyMs) ms an operation, \(bandwidth) MB/s a client, seed \(seed)"
        )
        print(
            "  ranks   root MB  index MB  parts MB    shards  part s  publish s  learn s   open s"
                + "  open MB  need GB  read GB   blocks  requests")
        var samples: [CostModel.Sample] = []
        for size in sizes { samples.append(try report(simulation, size)) }
        guard !check.isEmpty else { return }
        guard let fitted = CostModel(samples) else {
            throw ValidationError("give more sizes: the model cannot be fitted to \(sizes)")
        }
        print(
            String(
                format: "publish s = %.2f + %.1f us * shards", fitted.constant,
                fitted.perShard * 1e6))
        for size in check {
            let sample = try report(simulation, size)
            let predicted = fitted.seconds(shards: sample.shards)
            print(
                String(
                    format: "  %6d ranks: predicted %.2f s, simulated %.2f s (%+.0f %%)", size,
                    predicted, sample.seconds, (predicted / sample.seconds - 1) * 100))
        }
    }

    private func report(
        _ simulation: RankSimulation, _ worldSize: Int
    ) throws -> CostModel.Sample {
        let result = try simulation.run(worldSize: worldSize)
        func megabytes(_ bytes: Int) -> Double { Double(bytes) / 1e6 }
        let requests =
            result.publish.operations + worldSize
            * (result.part.operations + result.learn.operations)
        print(
            String(
                format:
                    "%7d %9.3f %9.3f %9.2f %9d %7.3f %10.3f %8.3f %8.3f %8.2f %8.2f %8.2f %8d %9d",
                worldSize, megabytes(result.rootBytes), megabytes(result.indexBytes),
                megabytes(result.partsBytes), result.shards, result.part.seconds,
                result.publish.seconds, result.learn.seconds, result.open.seconds,
                megabytes(result.open.readBytes), megabytes(result.needed.bytes) / 1000,
                megabytes(result.needed.readBytes) / 1000, result.needed.blocks, requests))
        return CostModel.Sample(
            shards: Double(result.shards), seconds: result.publish.seconds)
    }
}
