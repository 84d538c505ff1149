public import ArgumentParser
import CheckpointBench
import CheckpointCodecs
import CheckpointFormat
public import Checkpointing
import Foundation

struct BenchCodec: Verb {
    static let configuration = CommandConfiguration(
        commandName: "codec", abstract: "Measures how small and how quickly a codec stores the bytes of a file.",
        usage: "ckpt bench codec FILE [options]",
        discussion: """
            Example: ckpt bench codec weights.bin --dtype bf16 --level balanced

            The file is raw elements; it is cut into blocks, encoded and decoded in memory, and compared. The first pass finds \
            out what the elements are like; later ones know it, as later saves do. Exit code 1 means that a byte did not come \
            back.
            """)

    @Argument(help: "Raw, little-endian elements.")
    var file: String

    @Option(help: ArgumentHelp("Type of the elements (Formats/manifest.md); without it, bytes of unknown kind.", valueName: "type"))
    var dtype: ElementType?

    @Option(help: "\(Compression.forms).")
    var level = Compression.balanced

    @Option(help: ArgumentHelp("Stores the file as a delta of this one.", valueName: "file"))
    var base: String?

    @Option(help: "Threads, each with its own blocks.")
    var threads = 1

    @Option(help: "Bytes of a block.")
    var blockBytes = Limits.chunkBytesDefault

    @Option(help: "Measured passes each way, after one that is not.")
    var rounds = 5

    @Option(help: ArgumentHelp("Writes the figures to a file as JSON; - prints them instead of the tables.", valueName: "file"))
    var json: String?

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
