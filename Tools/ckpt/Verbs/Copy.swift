import ArgumentParser
internal import CheckpointInterchange
internal import CheckpointMaintenance
internal import CheckpointObjects
import Checkpointing

struct Copy: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "copy", abstract: "Copies checkpoints to another store.",
        usage: "ckpt copy STORE DST [REF...] [options]",
        discussion: """
            Example: ckpt copy runs/first /archive/first latest best:loss

            Copies all checkpoints if no REF is given, newest first. Creates DST if it does not exist. Keeps ids, runs, parents, \
            metrics, tags and pins; does not write chunks that DST already has; checks every chunk against its hash. After an \
            interruption, run the same command to continue. Exit code 1 means that damaged checkpoints were not copied.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(
        help: ArgumentHelp(
            "Directory or s3://BUCKET/PREFIX of the store to copy to.", valueName: "dst"),
        completion: .directory)
    var target: String

    @Argument(help: ArgumentHelp("The checkpoints (default: all).", valueName: "ref"))
    var references: [CheckpointReference] = []

    @Flag(help: "Shows what would be copied without writing anything.")
    var dryRun = false

    func validate() throws { _ = try StoreAddress(target) }

    func execute() throws -> ExitCode {
        let source = try common.open()
        // Before a store is created for checkpoints that do not exist.
        for reference in references { _ = try source.load(reference) }
        let progress = ProgressLine("copying")
        let report = try Interruption.cancelling { cancellation in
            try source.copy(
                references, to: try destination(), isDryRun: dryRun, cancellation: cancellation
            ) { progress.show($0, of: $1) }
        }
        ProgressLine.clear()
        for error in report.unreadableTags { Output.warn("unreadable tag, not copied: \(error)") }
        for tag in report.takenTags {
            Output.warn("tag \(tag) was not copied: another checkpoint in \(target) has it")
        }
        if common.json { printJSON(report) } else { printText(report) }
        return report.checkpoints.contains { $0.outcome == .failed } ? .difference : .fine
    }

    private func destination() throws -> CheckpointStore? {
        guard dryRun else {
            return try StoreAddress(target).open(for: .writing)
        }
        guard try StoreAddress(target).exists() else { return nil }
        return try StoreAddress(target).open(for: .reading)
    }

    private func printText(_ report: CopyReport) {
        var table = Table([
            "STEP", .init("ID", rank: 1), .init("RUN", rank: 2, shortest: 8), "SIZE", "WRITTEN",
            .init("OUTCOME", shortest: 12),
        ])
        for row in report.checkpoints {
            table.add([
                String(row.step), row.id.map { Output.short($0) } ?? "?", row.runName.isEmpty ? "?" : row.runName,
                Output.size(row.logicalBytes),
                Output.size(row.newBytes),
                row.error.map { "failed: \($0)" } ?? row.outcome.rawValue,
            ])
        }
        table.print()
        let copied = Output.count(report.checkpoints.count { $0.outcome == .copied }, "checkpoint")
        let tags =
            (report.tags.isEmpty ? "" : ", \(Output.count(report.tags.count, "tag"))")
            + (report.pinCount == 0 ? "" : ", \(Output.count(report.pinCount, "pin"))")
        let written = Output.size(report.newBytes)
        let requests = requests(report).map { " in at most \(Output.count($0, "request"))" } ?? ""
        Output.line(
            dryRun
                ? "would copy \(copied)\(tags) and write at most \(written)\(requests)"
                : "copied \(copied)\(tags), wrote \(written)")
    }

    /// Maximum number of requests to buckets, in a dry run to or from one.
    private func requests(_ report: CopyReport) -> Int? {
        guard dryRun else { return nil }
        let marks = report.tags.count + report.pinCount
        let (isFromBucket, isToBucket) = (
            S3Location.isMeant(by: common.store), S3Location.isMeant(by: target)
        )
        guard isFromBucket || isToBucket else { return nil }
        var requests = 0
        if isFromBucket {
            requests += TransferCost(
                reads: report.checkpoints.reduce(0) { $0 + $1.readCount },
                checkpoints: report.checkpoints.count, marks: marks
            ).requests
        }
        if isToBucket {
            requests += TransferCost(
                copying: report.checkpoints.filter { $0.outcome == .copied }.map(\.newBytes),
                marks: marks
            ).requests
        }
        return requests
    }

    private func printJSON(_ report: CopyReport) {
        let rows = report.checkpoints.map { row in
            JSONValue.object([
                .init("id", row.id.map { .hex($0) } ?? .null), .init("run", .hex(row.run)),
                .init("run_name", .string(row.runName)),
                .init("step", .count(row.step)),
                .init("outcome", .string(row.outcome.rawValue)),
                .init("bytes", .count(row.logicalBytes)),
                .init("new_bytes", .count(row.newBytes)),
                .init("reencoded_blocks", .count(row.reencodedCount)),
                .init("error", row.error.map { .error($0) } ?? .null),
            ])
        }
        Output.json(
            .object([
                .init("dry_run", .bool(dryRun)), .init("new_bytes", .count(report.newBytes)),
                .init("requests", requests(report).map { .count($0) } ?? .null),
                .init("checkpoints", .array(rows)),
                .init("tags", .strings(report.tags.map(\.description))),
                .init("taken_tags", .strings(report.takenTags.map(\.description))),
                .init("pins", .count(report.pinCount)),
            ]))
    }
}
