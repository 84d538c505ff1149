import ArgumentParser
import CheckpointFormat
internal import CheckpointMaintenance
import Checkpointing

struct Repack: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "repack",
        abstract: "Shrinks a store by storing older checkpoints as deltas against newer ones.",
        usage: "ckpt repack STORE [options]",
        discussion: """
            Example: ckpt repack runs/first --dry-run

            The newest checkpoint of each run stays as it is. Safe beside a running trainer, and whenever it is interrupted: every \
            checkpoint can be restored at every moment, and running it again goes on from there. What is in use stays as it is.
            """)

    @OptionGroup var common: CommonArguments

    @Flag(help: "Shows how much would be saved without writing anything.")
    var dryRun = false

    @Option(
        help:
            "Maximum length of a chain of deltas, 1 to 8; longer is smaller, but slower to restore."
    )
    var chain = RepackOptions().chainMax

    @Option(help: "Number of encoding threads.")
    var threads = RepackOptions().threads

    func validate() throws {
        guard (1...8).contains(chain) else {
            throw ValidationError("--chain is \(chain), not from 1 to 8")
        }
        guard (1...64).contains(threads) else {
            throw ValidationError("--threads is \(threads), not from 1 to 64")
        }
    }

    func execute() throws -> ExitCode {
        let store = dryRun ? try common.open() : try common.openForMaintaining()
        var options = RepackOptions()
        (options.chainMax, options.threads, options.isDryRun) = (chain, threads, dryRun)
        let report = try Interruption.cancelling { cancellation in
            options.cancellation = cancellation
            return try store.repack(options) { ProgressLine.tell("repacking checkpoint \($0) of \($1)") }
        }
        ProgressLine.clear()
        if common.json { printJSON(report) } else { printText(report) }
        return .fine
    }

    private func printText(_ report: RepackReport) {
        var table = Table([
            "STEP", .init("RUN", rank: 1), .init("BLOCKS", rank: 3), .init("DELTAS", rank: 2),
            "BEFORE", "AFTER", .init("NOTE", shortest: 12),
        ])
        for checkpoint in report.checkpoints {
            table.add([
                String(checkpoint.step), Output.short(checkpoint.run),
                String(checkpoint.blockCount), String(checkpoint.deltaCount),
                Output.size(checkpoint.bytesBefore), Output.size(checkpoint.bytesAfter),
                checkpoint.skipped ?? "",
            ])
        }
        table.print()
        let saved = Output.size(report.bytesSaved)
        Output.line(dryRun ? "would save \(saved); nothing was written" : "saved \(saved)")
    }

    private func printJSON(_ report: RepackReport) {
        let checkpoints = report.checkpoints.map { checkpoint in
            JSONValue.object([
                .init("run", .string(checkpoint.run.description)),
                .init("step", .count(checkpoint.step)),
                .init("blocks", .count(checkpoint.blockCount)),
                .init("deltas", .count(checkpoint.deltaCount)),
                .init("bytes_before", .count(checkpoint.bytesBefore)),
                .init("bytes_after", .count(checkpoint.bytesAfter)),
                .init("skipped", checkpoint.skipped.map { .string($0) } ?? .null),
            ])
        }
        Output.json(
            .object([
                .init("dry_run", .bool(dryRun)), .init("bytes_saved", .count(report.bytesSaved)),
                .init("checkpoints", .array(checkpoints)),
            ]))
    }
}
