public import ArgumentParser
import CheckpointBench
import CheckpointObjects
public import Checkpointing
import Foundation

/// `ckpt bench` alone is `ckpt bench loop`.
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measures the cost of saves in a training loop, or the speed of a codec.",
        usage: "ckpt bench [loop | codec] --store DIR [options]",
        discussion: """
            Example: ckpt bench --store runs/bench --state gpt2 --steps 20

            The default is loop. Both accept --json FILE.
            """,
        subcommands: [BenchLoop.self, BenchCodec.self], defaultSubcommand: BenchLoop.self)
}

struct BenchLoop: Verb {
    static let configuration = CommandConfiguration(
        commandName: "loop", abstract: "Measures the cost of saving for a training loop, and the time of a restore.",
        usage: "ckpt bench loop --store DIR [options]",
        discussion: """
            Example: ckpt bench --store runs/bench --state gpt2 --steps 20 --compute-seconds 1
            Example: ckpt bench --store runs/bench --ranks 4 --scale 0.1

            Runs a simulated training loop without checkpoints, then with checkpoints; then restores the last \
            checkpoint and compares it with the state. Each --no-... switch turns off one mechanism of the engine, \
            to show its effect. Exit code 1 means that a restore was not bit-exact. Build ckpt with -c release: \
            figures of a debug build mean nothing.
            """)

    @Option(help: ArgumentHelp("New or empty directory of the store; deleted at the end.", valueName: "dir"))
    var store: String

    @Flag(help: "Keeps the store after the benchmark.")
    var keepStore = false

    @Option(
        help: ArgumentHelp(
            "State: gpt2, bf16, small, lora, or a JSON file (Formats/cli-json.md).",
            valueName: "state"))
    var state = StateSource.synthetic(.gpt2)

    @Option(
        parsing: .unconditional,
        help: "Number of processes that train and save together, data-parallel with ZeRO-1.")
    var ranks = 1

    @Option(help: .hidden)
    var rank: Int?

    @Option(help: .hidden)
    var launch: String?

    @Option(parsing: .unconditional, help: "Scales a synthetic state: more than 0, at most 1.")
    var scale = 1.0

    @Option(parsing: .unconditional, help: "Number of steps to measure.")
    var steps = 20

    @Option(parsing: .unconditional, help: "Saves every N steps.")
    var every = 1

    @Option(
        parsing: .unconditional,
        help: "Number of steps before each measured phase, without saves.")
    var warmup = 2

    @Option(
        parsing: .unconditional,
        help: "Duration of the forward and backward pass of a step, in seconds.")
    var computeSeconds = 1.0

    @Option(
        parsing: .unconditional,
        help: "Number of compute threads of each rank (default: its share of the cores).")
    var computeThreads: Int?

    @Option(help: "Compression: \(Compression.forms).")
    var codec = Compression.none

    @Option(parsing: .unconditional, help: "Size of the staging arena, in MiB. By default the library chooses it.")
    var arena: Int?

    @Option(parsing: .unconditional, help: "Number of threads of the engine.")
    var workers = 2

    @Option(parsing: .unconditional, help: "Nice value of the engine's threads, from 0 to 19.")
    var niceness = 10

    @Option(parsing: .unconditional, help: "Number of checkpoints to keep; 0 keeps all.")
    var keepLast = 2

    @Option(help: "Policy while an earlier save is being written: block, skip or replace-pending.")
    var backpressure = CheckpointerOptions.Backpressure.block

    @Option(help: ArgumentHelp("Writes a Perfetto trace of the measured phase to a file.", valueName: "file"))
    var trace: String?

    @Option(
        help: """
            Protection of the state during capture: \
            \(Settings.Capture.allCases.map(\.rawValue).joined(separator: ", ")).
            """)
    var capture = Settings.Capture.fenced

    @Flag(help: "Copies the full state before save returns.")
    var noLazy = false

    @Flag(help: "Allocates a new arena for each save.")
    var noPreallocation = false

    @Flag(help: "Writes each small tensor as a separate block.")
    var noCoalescing = false

    @Flag(help: "Starts writing only when the full state is captured.")
    var noStreaming = false

    @Flag(help: "Writes through the page cache.")
    var noDirect = false

    @Flag(help: "Deletes segments of old checkpoints instead of reusing them.")
    var noRecycling = false

    @Flag(help: "Writes every block, even if the store already has it.")
    var noDedup = false

    @Flag(help: "Takes one permit for an update, not one for each group.")
    var noGroupFences = false

    @Flag(help: "Runs the engine's threads at nice value 0.")
    var noPriority = false

    @Flag(help: "Also measures a reference writer, which only writes the same bytes.")
    var baseline = false

    @Flag(help: "Also measures the reference writer when it overwrites an existing file.")
    var baselineRecycled = false

    @Option(help: ArgumentHelp("Writes the results to a file as JSON; - prints them instead of the table.", valueName: "file"))
    var json: String?

    @Option(
        help: ArgumentHelp(
            "Mirrors the saves to a new directory or s3://BUCKET/PREFIX, which is kept.",
            valueName: "dst"))
    var mirror: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Sends at most this many MB per second to the mirror.", valueName: "mb-per-second"))
    var mirrorLimit: Double?

    @OptionGroup var messages: MessageArguments

    func validate() throws {
        if store.isEmpty { throw ValidationError("--store is empty") }
        if let mirror { _ = try StoreAddress(mirror) }
        if let mirrorLimit, !(mirrorLimit > 0 && mirrorLimit < 1e9) {
            throw ValidationError(
                "--mirror-limit must be more than 0 and less than 1e9 MB per second.")
        }
        if let mistake = settings.mistake { throw ValidationError(mistake) }
    }

    func execute() throws -> ExitCode {
        guard ranks == 1 || rank != nil else { return try executeRanks() }
        let report = try Benchmark(settings).run(meet: meet) { ProgressLine.tell("\($0) ...") }
        if rank == nil {
            ProgressLine.clear()
            if json != "-" { print(report.rows) }
        }
        try Output.figures(report.json, to: json)
        return report.isBitExact ? .fine : .difference
    }

    private func executeRanks() throws -> ExitCode {
        let benchmark = RankedBenchmark(
            settings, executable: "/proc/self/exe", arguments: Array(CommandLine.arguments.dropFirst()))
        let report = try benchmark.run { ProgressLine.tell("\($0) ...") }
        ProgressLine.clear()
        if json != "-" { print(report.rows) }
        try Output.figures(report.json, to: json)
        return report.isBitExact ? .fine : .difference
    }

    /// Waits for the other ranks: the process that has started them answers a line when all have
    /// printed one.
    private func meet() throws(CheckpointError) {
        guard rank != nil else { return }
        FileHandle.standardOutput.write(Data("ready\n".utf8))
        guard readLine() != nil else {
            throw CheckpointError(.cancelled, "the benchmark that started this rank has ended")
        }
    }

    private var settings: Settings {
        var settings = Settings()
        (settings.store, settings.keepsStore) = (store, keepStore)
        (settings.state, settings.scale) = (state, scale)
        (settings.steps, settings.every, settings.warmup) = (steps, every, warmup)
        let cores = ProcessInfo.processInfo.activeProcessorCount
        (settings.computeSeconds, settings.computeThreads) = (
            computeSeconds, computeThreads ?? max(cores / max(ranks, 1), 1)
        )
        settings.ranks = ranks
        if let rank { settings.place = RankPlace(rank: rank, launch: launch ?? "") }
        settings.trace = trace
        if let mirror, let place = StoreMirror.Place(mirror) {
            settings.mirror = BackgroundMirror(
                place, bytesPerSecond: mirrorLimit.map { max(Int($0 * 1e6), 1) })
        }
        (settings.capture, settings.usesDirectIO) = (capture, !noDirect)
        (settings.usesGroupFences, settings.hasPriority) = (!noGroupFences, !noPriority)
        (settings.measuresWriter, settings.measuresRecycledWriter) = (baseline, baselineRecycled)
        (settings.compression, settings.arenaMebibytes) = (codec, arena)
        (settings.workers, settings.niceness) = (workers, niceness)
        (settings.keepLast, settings.backpressure) = (keepLast == 0 ? nil : keepLast, backpressure)
        settings.deduplicates = !noDedup
        settings.mechanisms.isLazy = !noLazy
        settings.mechanisms.preallocates = !noPreallocation
        settings.mechanisms.coalesces = !noCoalescing
        settings.mechanisms.streams = !noStreaming
        settings.mechanisms.recycles = !noRecycling
        return settings
    }

    private func print(_ rows: [[String]]) {
        var table = Table(["FIGURE", "MEDIAN", "MIN", "MAX", "N"])
        for row in rows { table.add(row) }
        table.print()
        Output.warnOfDebugBuild()
    }
}

extension Output {
    /// Writes a measurement's figures to a file, or prints them if the file is `-`.
    static func figures(_ json: JSONValue, to path: String?) throws {
        guard let path else { return }
        if path == "-" { return Output.json(json) }
        do {
            try Data((encoded(json) + "\n").utf8).write(to: URL(fileURLWithPath: path))
        } catch {
            throw CheckpointError(.io, "\(path) cannot be written: \(error.localizedDescription)", path: path)
        }
    }

    static func warnOfDebugBuild() {
        if BenchmarkReport.build == "debug" { warn("this is a debug build: its figures mean nothing. Build with -c release") }
    }
}

extension StateSource: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension Compression: ExpressibleByArgument {
    static let forms = "auto, none, fast, balanced, max, lz4, zstd or zstd:LEVEL"

    /// LEVEL on the command line.
    public init?(argument: String) { self.init(argument) }
}

extension Settings.Capture: ExpressibleByArgument {}

extension CheckpointerOptions.Backpressure: ExpressibleByArgument {
    /// `block`, `skip` or `replace-pending`.
    public init?(argument: String) {
        guard let policy = [Self.block, .skip, .replacePending].first(where: { $0.name == argument }) else { return nil }
        self = policy
    }
}
