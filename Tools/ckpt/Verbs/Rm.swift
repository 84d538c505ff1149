internal import CheckpointInterchange
internal import CheckpointMaintenance
import ArgumentParser
import Checkpointing

struct Rm: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Deletes checkpoints.",
        usage: "ckpt rm STORE REF... [options]",
        discussion: """
            Example: ckpt rm runs/first 1000 weights:500

            Deletes nothing if one of the checkpoints is pinned, has a tag, or is the newest intact one of its run, unless \
            --force is given. Keeps a checkpoint that a running save uses, and bytes shared with other checkpoints. \
            Safe while a trainer writes and others read. Needs no free space.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(help: ArgumentHelp("The checkpoints; see ckpt --help.", valueName: "ref"))
    var references: [CheckpointReference]

    @Flag(help: "Deletes protected checkpoints too, with their pins and tags.")
    var force = false

    @Flag(help: "Shows what would be deleted without deleting anything.")
    var dryRun = false

    func execute() throws -> ExitCode {
        let store = dryRun ? try common.open() : try common.openForMaintaining()
        let report = try Interruption.cancelling { _ in
            try store.remove(references, isForced: force, isDryRun: dryRun)
        }
        if common.json { printJSON(report) } else { printText(report) }
        return report.checkpoints.contains { $0.outcome == .inUse } ? .difference : .fine
    }

    private func printText(_ report: RemoveReport) {
        for checkpoint in report.checkpoints {
            let run = checkpoint.runName.isEmpty ? Output.short(checkpoint.run) : checkpoint.runName
            let id = checkpoint.id.map { " (\(Output.short($0)))" } ?? ""
            switch checkpoint.outcome {
            case .removed: Output.line("\(dryRun ? "would delete" : "deleted") step \(checkpoint.step) of \(run)\(id)")
            case .inUse: Output.line("kept step \(checkpoint.step) of \(run)\(id): a running save or a reader uses it. Try again later")
            }
        }
        let segments = Output.count(report.segmentCount, "segment")
        Output.line("\(dryRun ? "would free" : "freed") \(Output.size(report.freedBytes)) in \(segments)")
        guard report.leavesSegments else { return }
        Output.warn("some files were kept, because a manifest cannot be read; run ckpt clean \(common.store) when no process writes")
    }

    private func printJSON(_ report: RemoveReport) {
        let checkpoints = report.checkpoints.map { checkpoint in
            JSONValue.object([
                .init("id", checkpoint.id.map { .hex($0) } ?? .null), .init("run", .hex(checkpoint.run)),
                .init("run_name", .string(checkpoint.runName)), .init("step", .count(checkpoint.step)),
                .init("outcome", .string(checkpoint.outcome == .removed ? "removed" : "in_use")),
            ])
        }
        Output.json(
            .object([
                .init("dry_run", .bool(dryRun)), .init("freed_bytes", .count(report.freedBytes)),
                .init("segments", .count(report.segmentCount)), .init("leaves_segments", .bool(report.leavesSegments)),
                .init("checkpoints", .array(checkpoints)),
            ]))
    }
}
