import ArgumentParser
internal import CheckpointMaintenance
import Checkpointing

struct Repack: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "repack",
        abstract: "Shrinks a store by storing older checkpoints as deltas against newer ones.",
        usage: "ckpt repack STORE [options]",
        discussion: """
            Example: ckpt repack runs/first --dry-run

            Does not change the newest checkpoint of each run, or checkpoints that another process uses. Safe while a \
            trainer is running. Safe to interrupt: every checkpoint can be restored at any time, and the next repack \
            continues.
            """)

    @OptionGroup var common: CommonArguments

    @Flag(help: "Shows how much space repacking would free, without writing anything.")
    var dryRun = false

    @Option(
        parsing: .unconditional,
        help: "Maximum number of deltas in a chain, 1 to 8; more saves space, slows restores.",
        transform: WholeNumber.from(1, to: 8))
    var chain = RepackOptions().chainMax

    @Option(
        parsing: .unconditional, help: "Number of encoding threads, 1 to 64.",
        transform: WholeNumber.from(1, to: 64))
    var threads = RepackOptions().threads

    func execute() throws -> ExitCode {
        let store = dryRun ? try common.open() : try common.openForMaintaining()
        var options = RepackOptions()
        (options.chainMax, options.threads, options.isDryRun) = (chain, threads, dryRun)
        let progress = ProgressLine("repacking")
        let report = try Interruption.cancelling { cancellation in
            options.cancellation = cancellation
            return try store.repack(options) { progress.show($0, of: $1) }
        }
        ProgressLine.clear()
        if common.json { printJSON(report) } else { printText(report) }
        return .fine
    }

    private func printText(_ report: RepackReport) {
        var table = Table([
            "STEP", .init("RUN", rank: 1, shortest: 8), .init("BLOCKS", rank: 3), .init("DELTAS", rank: 2),
            "BEFORE", "AFTER", .init("NOTE", shortest: 12),
        ])
        for checkpoint in report.checkpoints {
            table.add([
                String(checkpoint.step),
                checkpoint.runName.isEmpty ? "?" : checkpoint.runName,
                String(checkpoint.blockCount), String(checkpoint.deltaCount),
                Output.size(checkpoint.bytesBefore), Output.size(checkpoint.bytesAfter),
                checkpoint.skipped ?? "",
            ])
        }
        table.print()
        let saved = Output.size(report.bytesSaved)
        Output.line(dryRun ? "would free \(saved); nothing was written" : "freed \(saved)")
    }

    private func printJSON(_ report: RepackReport) {
        let checkpoints = report.checkpoints.map { checkpoint in
            JSONValue.object([
                .init("run", .string(checkpoint.run.description)),
                .init("run_name", .string(checkpoint.runName)),
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
