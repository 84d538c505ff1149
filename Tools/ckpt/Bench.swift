public import ArgumentParser
import CheckpointBench
import CheckpointFormat
public import Checkpointing
import Foundation

/// `ckpt bench` alone is `ckpt bench loop`.
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures what saving costs a training loop; or a codec.",
        usage: "ckpt bench [loop | codec] --store DIR [options]",
        discussion: """
            Example: ckpt bench --store runs/bench --state gpt2 --steps 20

            Without the name of a measurement, loop is meant. All of them take --json FILE.
            """,
        subcommands: [BenchLoop.self, BenchCodec.self], defaultSubcommand: BenchLoop.self)
}

struct BenchLoop: Verb {
    static let configuration = CommandConfiguration(
        commandName: "loop", abstract: "Measures what saving costs a training loop, and how quickly it is restored.",
        usage: "ckpt bench loop --store DIR [options]",
        discussion: """
            Example: ckpt bench --store runs/bench --state gpt2 --steps 20 --compute-seconds 1

            A simulated training loop runs without checkpoints, then with them, then the last one is restored and compared. \
            The switches take mechanisms of the engine away, to see what each brings. Exit code 1 means that a restore did \
            not give back every bit. Build it with -c release: a debug build measures the compiler.
            """)

    @Option(help: ArgumentHelp("Directory of the store: new or empty; removed at the end.", valueName: "dir"))
    var store: String

    @Flag(help: "Leaves the store for a look at it.")
    var keepStore = false

    @Option(help: ArgumentHelp("gpt2, bf16, small, lora, or a file that describes a state (Formats/cli-json.md).", valueName: "state"))
    var state = StateSource.synthetic(.gpt2)

    @Option(help: "Size of a synthetic state, in proportion to the full one: above 0, at most 1.")
    var scale = 1.0

    @Option(help: "Steps to measure.")
    var steps = 20

    @Option(help: "Saves at every step that this divides.")
    var every = 1

    @Option(help: "Steps before each measured phase, without saves.")
    var warmup = 2

    @Option(help: "Duration of forward and backward, in seconds.")
    var computeSeconds = 1.0

    @Option(help: "Threads that compute and update.")
    var computeThreads = ProcessInfo.processInfo.activeProcessorCount

    @Option(help: "\(Compression.forms).")
    var codec = Compression.none

    @Option(help: "Staging arena, in MiB.")
    var arena = 128

    @Option(help: "Threads of the engine.")
    var workers = 2

    @Option(help: "Nice value of those threads, from 0 to 19.")
    var niceness = 10

    @Option(help: "Checkpoints to keep; 0 keeps all.")
    var keepLast = 2

    @Option(help: "What save does while an earlier one is being written: block, skip or replace-pending.")
    var backpressure = CheckpointerOptions.Backpressure.block

    @Option(help: ArgumentHelp("Writes a trace of the measured phase, for Perfetto.", valueName: "file"))
    var trace: String?

    @Option(help: "How the state is protected while it is captured: \(Settings.Capture.allCases.map(\.rawValue).joined(separator: ", ")).")
    var capture = Settings.Capture.fenced

    @Flag(help: "save copies everything before it returns.")
    var noLazy = false

    @Flag(help: "The arena is allocated anew for each save.")
    var noPreallocation = false

    @Flag(help: "A block for every small tensor.")
    var noCoalescing = false

    @Flag(help: "Writing begins when everything is captured.")
    var noStreaming = false

    @Flag(help: "Writes through the page cache.")
    var noDirect = false

    @Flag(help: "Segments of expired checkpoints are unlinked, not written over.")
    var noRecycling = false

    @Flag(help: "Everything is written anew, whatever the store holds.")
    var noDedup = false

    @Flag(help: "One permit for the whole update, not one for each group.")
    var noGroupFences = false

    @Flag(help: "The engine's threads have nice value 0.")
    var noPriority = false

    @Flag(help: "Measures a minimal writer of the same bytes, too.")
    var baseline = false

    @Flag(help: "The same, written over an existing file.")
    var baselineRecycled = false

    @Option(help: ArgumentHelp("Writes the figures to a file as JSON; - prints them instead of the table.", valueName: "file"))
    var json: String?

    func validate() throws {
        if store.isEmpty { throw ValidationError("--store is empty") }
        if let mistake = settings.mistake { throw ValidationError(mistake) }
    }

    func execute() throws -> ExitCode {
        let report = try Benchmark(settings).run { ProgressLine.tell("\($0) ...") }
        ProgressLine.clear()
        if json != "-" { printTable(report) }
        try Output.figures(report.json, to: json)
        return report.isBitExact ? .fine : .difference
    }

    private var settings: Settings {
        var settings = Settings()
        (settings.store, settings.keepsStore) = (store, keepStore)
        (settings.state, settings.scale) = (state, scale)
        (settings.steps, settings.every, settings.warmup) = (steps, every, warmup)
        (settings.computeSeconds, settings.computeThreads) = (computeSeconds, computeThreads)
        settings.trace = trace
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

    private func printTable(_ report: BenchmarkReport) {
        var table = Table(["FIGURE", "MEDIAN", "MIN", "MAX", "N"])
        for row in report.rows { table.add(row) }
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
        if BenchmarkReport.build == "debug" { warn("this is a debug build: its figures say nothing") }
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
