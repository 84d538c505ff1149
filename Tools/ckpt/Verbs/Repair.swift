import ArgumentParser
internal import CheckpointInterchange
internal import CheckpointMaintenance
import Checkpointing

struct Repair: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "repair", abstract: "Repairs a damaged store and salvages intact tensors.",
        usage: "ckpt repair STORE [--from MIRROR] [--dry-run] [options]",
        discussion: """
            Example: ckpt repair runs/first --dry-run

            Reads the full store. Rebuilds a missing or damaged store.json, updates the catalog, and copies intact blocks \
            out of damaged files. For each checkpoint with losses, makes a new checkpoint of its intact tensors and \
            objects, in a run named "salvaged: ...". With --from, \
            first replaces damaged files with intact copies from a mirror of the store, so that \
            their data is not lost. Moves damaged files to quarantine/, and never deletes them. \
            Safe while a trainer is running, and safe to interrupt. Exit code 1 means that data is lost, or stays damaged \
            because another process uses it. The store must be in a directory, not in a bucket.
            """)

    @OptionGroup var common: CommonArguments

    @Option(
        help: ArgumentHelp(
            "Replaces damaged files from this mirror: a directory or s3://BUCKET/PREFIX.",
            valueName: "mirror"),
        completion: .directory)
    var from: String?

    @Flag(help: "Shows what would be repaired without writing anything.")
    var dryRun = false

    func validate() throws { if let from { _ = try StoreAddress(from) } }

    func execute() throws -> ExitCode {
        try StoreAddress(common.store).requireDirectory(for: "repair")
        let mirror = try from.map { try StoreAddress($0).open(for: .reading) }
        let identity = try CheckpointStore.repairIdentity(
            common.store, from: mirror, isDryRun: dryRun)
        // Without store.json the store cannot be opened, so a dry run ends here.
        var report = dryRun && identity != nil ? RepairReport() : try repair(from: mirror)
        report.identity = identity
        if common.json { printJSON(report) } else { printText(report) }
        return report.isWithoutLoss && !(dryRun && identity != nil) ? .fine : .difference
    }

    private func repair(from mirror: CheckpointStore?) throws -> RepairReport {
        let store = dryRun ? try common.open() : try common.openForMaintaining()
        let progress = ProgressLine("checking")
        defer { ProgressLine.clear() }
        return try Interruption.cancelling { cancellation in
            try store.repair(from: mirror, isDryRun: dryRun, cancellation: cancellation) {
                progress.show($0, of: $1)
            }
        }
    }

    private func printText(_ report: RepairReport) {
        if let identity = report.identity {
            let what = dryRun ? "would be rebuilt, and the full store checked" : "was rebuilt"
            let source = "from \(Output.count(identity.checkpointCount, "readable checkpoint"))"
            Output.line(
                "store.json: \(what), \(source) (store \(Output.short(identity.id))): \(identity.fault.message)"
            )
        }
        for name in report.mended {
            Output.line("\(dryRun ? "would be replaced" : "replaced") from the mirror: \(name)")
        }
        for error in report.unreadable { Output.line("unreadable: \(error)") }
        for error in report.unreadableTags { Output.line("unreadable tag, not changed: \(error)") }
        for loss in report.losses { printLoss(loss) }
        for label in report.moved {
            let place =
                dryRun
                ? "is intact, but uses a damaged file; its blocks would be copied"
                : "is intact; its blocks were copied out of a damaged file"
            Output.line("\(text(label)) \(place)")
        }
        for text in report.inUse { Output.line("not changed: \(text)") }
        for name in report.quarantined {
            Output.line("\(dryRun ? "would move" : "moved") to quarantine: \(name)")
        }
        if report.catalogRows > 0 {
            Output.line(
                "catalog: \(dryRun ? "would correct" : "corrected") "
                    + Output.count(report.catalogRows, "row")
            )
        }
        if report.onlyInMirror > 0, let from {
            Output.line(
                "the mirror has \(Output.count(report.onlyInMirror, "checkpoint")) that this store does not have; "
                    + "to bring them here: ckpt mirror \(quoted(from)) \(quoted(common.store))")
        }
        Output.line(verdict(report))
    }

    private func printLoss(_ loss: RepairReport.Loss) {
        let lost = loss.lostTensors.map { "tensor \($0)" } + loss.lostObjects.map { "object \($0)" }
        let some =
            lost.prefix(8).joined(separator: ", ")
            + (lost.count > 8 ? " and \(lost.count - 8) more" : "")
        let rest =
            "\(Output.count(loss.intact.tensors, "tensor")) and \(Output.count(loss.intact.objects, "object")) are intact"
        let new =
            loss.salvaged.map { ", salvaged as \(text($0))" } ?? ""
        Output.line("damaged: \(text(loss.damaged)) lost \(some); \(rest)\(new)")
        if !loss.tags.isEmpty {
            Output.line(
                "  its tags \(dryRun ? "would name no checkpoint" : "name no checkpoint now"): "
                    + "\(loss.tags.joined(separator: ", ")); move them with ckpt tag --force"
            )
        }
    }

    private func text(_ label: VerificationReport.Label) -> String {
        "step \(label.step) (\(Output.short(label.id)))"
    }

    private func verdict(_ report: RepairReport) -> String {
        if report.isWithoutLoss {
            if report.identity != nil {
                return dryRun
                    ? "nothing was written; to repair, run the command without --dry-run"
                    : "repaired: nothing is lost"
            }
            return report.quarantined.isEmpty && report.mended.isEmpty
                ? "no damage found" : dryRun ? "nothing would be lost" : "repaired: nothing is lost"
        }
        if report.losses.isEmpty, report.unreadable.isEmpty, report.inUse.isEmpty {
            return "no checkpoint is damaged, but a tag cannot be read (see above)"
        }
        if dryRun { return "nothing was written; to repair, run the command without --dry-run" }
        return report.inUse.isEmpty
            ? "repaired, with the losses listed above"
            : "NOT REPAIRED: try again when no process writes to the store"
    }

    private func json(_ identity: RebuiltIdentity) -> JSONValue {
        .object([
            .init("store", .hex(identity.id)),
            .init("checkpoints", .count(identity.checkpointCount)),
            .init("fault", .error(identity.fault)),
        ])
    }

    private func printJSON(_ report: RepairReport) {
        func label(_ label: VerificationReport.Label) -> JSONValue {
            .label(label.id, label.run, label.step)
        }
        let losses = report.losses.map { loss in
            JSONValue.object([
                .init("damaged", label(loss.damaged)),
                .init("salvaged", loss.salvaged.map(label) ?? .null),
                .init("lost_tensors", .strings(loss.lostTensors)),
                .init("lost_objects", .strings(loss.lostObjects)),
                .init("intact_tensors", .count(loss.intact.tensors)),
                .init("intact_objects", .count(loss.intact.objects)),
                .init("tags", .strings(loss.tags)),
            ])
        }
        Output.json(
            .object([
                .init("without_loss", .bool(report.isWithoutLoss)), .init("dry_run", .bool(dryRun)),
                .init("identity", report.identity.map(json) ?? .null),
                .init("mended", .strings(report.mended)),
                .init("mended_bytes", .count(report.mendedBytes)),
                .init("only_in_mirror", .count(report.onlyInMirror)),
                .init("losses", .array(losses)), .init("moved", .array(report.moved.map(label))),
                .init("unreadable", .array(report.unreadable.map { .error($0) })),
                .init("unreadable_tags", .array(report.unreadableTags.map { .error($0) })),
                .init("quarantined", .strings(report.quarantined)),
                .init("in_use", .strings(report.inUse)),
                .init("copied_bytes", .count(report.copiedBytes)),
                .init("catalog_rows", .count(report.catalogRows)),
            ]))
    }
}
