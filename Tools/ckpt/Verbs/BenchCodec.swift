public import ArgumentParser
import CheckpointBench
public import Checkpointing
import Foundation

struct BenchCodec: Verb {
    static let configuration = CommandConfiguration(
        commandName: "codec", abstract: "Measures the ratio and speed of a codec on the bytes of a file.",
        usage: "ckpt bench codec FILE [options]",
        discussion: """
            Example: ckpt bench codec weights.bin --dtype bf16 --level balanced

            Splits a file of raw elements into blocks, encodes and decodes them in memory, and compares the result. \
            The first pass also learns how to encode the elements; later passes reuse that, as later saves do. \
            Exit code 1 means that decoding did not return the same bytes.
            """)

    @Argument(help: "File of raw, little-endian elements.")
    var file: String

    @Option(help: ArgumentHelp("Element type (Formats/manifest.md; default: bytes of unknown type).", valueName: "type"))
    var dtype: ElementType?

    @Option(help: "Compression: \(Compression.forms).")
    var level = Compression.balanced

    @Option(help: ArgumentHelp("Encodes FILE as a delta against this file.", valueName: "file"))
    var base: String?

    @Option(parsing: .unconditional, help: "Number of threads, each with its own blocks.")
    var threads = 1

    @Option(parsing: .unconditional, help: "Size of a block, in bytes.")
    var blockBytes = Limits.chunkBytesDefault

    @Option(
        parsing: .unconditional,
        help: "Number of measured encode and decode passes, after a first pass of each.")
    var rounds = 5

    @Option(help: ArgumentHelp("Writes the results to a file as JSON; - prints them instead of the tables.", valueName: "file"))
    var json: String?

    @OptionGroup var messages: MessageArguments

    func validate() throws {
        if let mistake = settings.mistake { throw ValidationError(mistake) }
    }

    func execute() throws -> ExitCode {
        let report = try CodecBenchmark(settings).run()
        if json != "-" { printTables(report) }
        try Output.figures(report.json, to: json)
        return report.isExact ? .fine : .difference
    }

    private var settings: CodecSettings {
        var settings = CodecSettings()
        (settings.file, settings.type, settings.compression) = (file, dtype, level)
        (settings.base, settings.threads, settings.blockBytes, settings.rounds) = (base, threads, blockBytes, rounds)
        return settings
    }

    private func printTables(_ report: CodecReport) {
        var table = Table(["FIGURE", "MEDIAN", "MIN", "MAX", "N"])
        for row in report.rows { table.add(row) }
        table.print()
        var planes = Table(["PLANE", "RATIO", "MODES", "LAYOUTS"])
        for row in report.planes { planes.add(row) }
        planes.print()
        Output.warnOfDebugBuild()
    }
}

extension ElementType: ExpressibleByArgument {}
