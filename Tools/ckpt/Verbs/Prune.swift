public import ArgumentParser
internal import CheckpointInterchange
internal import CheckpointMaintenance
public import Checkpointing

struct Prune: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Deletes checkpoints that no --keep rule selects.",
        usage: "ckpt prune STORE --keep-... [options]",
        discussion: """
            Example: ckpt prune runs/first --keep-last 5 --keep-every 1000 --keep-best loss:3 --dry-run

            Rules apply to each run separately, across its restarts; a branch of a run counts as a run, and so do the \
            imports under one name. A checkpoint is kept if any rule selects it. The newest intact checkpoint of each \
            run, and checkpoints with a tag or a pin, are always kept, unless --keep-runs or --keep-runs-within deletes \
            the run. Bytes shared with a kept checkpoint are kept. Rules that would keep only the newest checkpoint are \
            refused unless --keep-last is given. Safe while a trainer writes and others read: checkpoints that a running \
            save uses are kept until the next prune. Needs no free space.
            """)

    @OptionGroup var common: CommonArguments

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Keeps the N newest checkpoints.", valueName: "n"),
        transform: WholeNumber.from(1))
    var keepLast: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Keeps the first checkpoint of every K steps.", valueName: "k"),
        transform: WholeNumber.from(1))
    var keepEvery: Int?

    @Option(
        help: ArgumentHelp(
            "Keeps checkpoints saved within this time before the newest (7d, 36h, 2w).",
            valueName: "duration"))
    var keepWithin: String?

    @Option(
        help: ArgumentHelp(
            "Keeps the N smallest values of a metric (loss:3), or the largest (acc:3:max).",
            valueName: "best"))
    var keepBest: [RetentionPolicy.Best] = []

    @Option(
        help: ArgumentHelp("Keeps checkpoints whose tag matches (* and ?).", valueName: "tag"))
    var keepTag: [String] = []

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Keeps the N most recent runs; deletes the others.", valueName: "n"),
        transform: WholeNumber.from(1))
    var keepRuns: Int?

    @Option(
        help: ArgumentHelp(
            "Keeps runs saved within this time before now (7d); deletes the others.",
            valueName: "duration"))
    var keepRunsWithin: String?

    @Option(
        help: ArgumentHelp(
            "Prunes only this run: its name (* and ?), or at least 4 digits of its id.",
            valueName: "run"
        ))
    var run: String?

    @Flag(help: "Shows what would be deleted without deleting anything.")
    var dryRun = false

    func validate() throws {
        if policy.isEmpty {
            throw ValidationError(
                "Give at least one rule: --keep-last, --keep-every, --keep-within, --keep-best, --keep-tag, "
                    + "--keep-runs, --keep-runs-within."
            )
        }
        if keepWithin != nil, policy.keepWithin == nil {
            throw ValidationError("--keep-within must be a duration such as 90s, 15m, 36h, 7d or 2w.")
        }
        if keepRunsWithin != nil, policy.keepRunsWithin == nil {
            throw ValidationError("--keep-runs-within must be a duration such as 90s, 15m, 36h, 7d or 2w.")
        }
    }

    private var policy: RetentionPolicy {
        var policy = RetentionPolicy()
        (policy.keepLast, policy.keepEvery) = (keepLast, keepEvery)
        policy.keepWithin = keepWithin.flatMap { QueryValue.seconds($0) }
        (policy.keepBest, policy.keepTags) = (keepBest, keepTag)
        policy.keepRuns = keepRuns
        policy.keepRunsWithin = keepRunsWithin.flatMap { QueryValue.seconds($0) }
        return policy
    }

    func execute() throws -> ExitCode {
        let store = dryRun ? try common.open() : try common.openForMaintaining()
        try checkMetrics(of: store)
        let report = try Interruption.cancelling { _ in
            try store.prune(
                policy, runs: try run.map { try runs(named: $0, in: store) }, isDryRun: dryRun
            ) {
                if $0 % 100 == 0 { ProgressLine.tell("reading checkpoint \($0) of \($1)") }
            }
        }
        ProgressLine.clear()
        if common.json { printJSON(report) } else { printText(report) }
        return .fine
    }

    /// A rule for a metric that no checkpoint has keeps nothing, and is probably a typing error.
    private func checkMetrics(of store: CheckpointStore) throws {
        guard !keepBest.isEmpty else { return }
        let known = Set(try store.checkpoints().separated.checkpoints.flatMap(\.metrics.keys))
        guard let unknown = keepBest.first(where: { !known.contains($0.metric) }) else { return }
        let there =
            known.isEmpty
            ? "there are no metrics"
            : "the metrics are \(known.sorted().prefix(8).joined(separator: ", "))"
        throw CheckpointError(
            .notFound, "no checkpoint has a metric \(unknown.metric); \(there)",
            remedy: known.isEmpty ? "Remove --keep-best" : "Give --keep-best one of these")
    }

    private func runs(named name: String, in store: CheckpointStore) throws -> Set<RunID> {
        let runs = Set(
            try store.checkpoints().separated.checkpoints.filter { $0.isOf(run: name) }.map(\.run))
        guard !runs.isEmpty else {
            throw CheckpointError(
                .notFound, "no run has the name \(name)", remedy: "List the runs with ckpt log")
        }
        return runs
    }

    private func printText(_ report: PruneReport) {
        var table = Table([
            "STEP", .init("ID", rank: 1), .init("RUN", shortest: 8), "ACTION",
            .init("WHY", shortest: 12),
        ])
        for checkpoint in report.checkpoints {
            table.add([
                String(checkpoint.step), Output.short(checkpoint.id), checkpoint.runName,
                action(checkpoint),
                checkpoint.isInUse
                    ? "a running save uses it" : checkpoint.reasons.joined(separator: ", "),
            ])
        }
        table.print()
        let removed = Output.count(report.removedCount, "checkpoint")
        let freed =
            "\(Output.size(report.freedBytes)) in \(Output.count(report.segmentCount, "segment"))"
        Output.line(
            dryRun
                ? "would delete \(removed) and free \(freed); nothing was deleted"
                : "deleted \(removed) and freed \(freed)")
    }

    private func action(_ checkpoint: PruneReport.Checkpoint) -> String {
        checkpoint.isRemoved ? "delete" : "keep"
    }

    private func printJSON(_ report: PruneReport) {
        let checkpoints = report.checkpoints.map { checkpoint in
            JSONValue.label(checkpoint.id, checkpoint.run, checkpoint.step).adding([
                .init("run_name", .string(checkpoint.runName)),
                .init("removed", .bool(checkpoint.isRemoved)),
                .init("in_use", .bool(checkpoint.isInUse)),
                .init("reasons", .strings(checkpoint.reasons)),
            ])
        }
        Output.json(
            .object([
                .init("dry_run", .bool(dryRun)), .init("removed", .count(report.removedCount)),
                .init("freed_bytes", .count(report.freedBytes)),
                .init("segments", .count(report.segmentCount)),
                .init("checkpoints", .array(checkpoints)),
            ]))
    }
}

extension RetentionPolicy.Best: ExpressibleByArgument {
    /// The argument of `--keep-best`.
    public init?(argument: String) { self.init(argument) }
}
