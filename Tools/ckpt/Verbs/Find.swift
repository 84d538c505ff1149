public import ArgumentParser
import CheckpointInterchange
import CheckpointMaintenance
public import Checkpointing

struct Find: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "find",
        abstract: "Finds the checkpoints that hold a tensor, an object or a digest.",
        usage: "ckpt find STORE NAME [options]",
        discussion: """
            Example: ckpt find runs/first model.embedding.weight --changes
            Example: ckpt find runs/first --digest 5c1d9b0e2f4a77c63d11e0f2a9b84c55

            Prints one line for each name and checkpoint, newest first. CHANGE (new, changed or same) compares with the \
            previous checkpoint of the run, or with the one that the run was resumed from. A search by name reads \
            manifests only; --digest also reads tensors that are stored in several chunks.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(
        help: ArgumentHelp(
            "Name of the tensors and objects; * and ? match any characters.", valueName: "name"))
    var name: String?

    @Option(
        help: ArgumentHelp(
            "Finds content by the digest that inspect --digests prints.", valueName: "hex"))
    var digest: Hash128?

    @Flag(help: "Lists only checkpoints in which the content changed.")
    var changes = false

    func validate() throws {
        guard name != nil || digest != nil else {
            throw ValidationError("Give a NAME, or --digest.")
        }
    }

    func execute() throws -> ExitCode {
        let store = try common.open()
        let pattern = NamePattern(name ?? "*")
        let report = try store.find(pattern, digest: digest) {
            ProgressLine.tell("reading checkpoint \($0) of \($1)")
        }
        ProgressLine.clear()
        for error in report.damaged { Output.warn("skipped a damaged checkpoint: \(error)") }
        guard !report.occurrences.isEmpty else { throw notFound(report) }
        let shown = report.occurrences.filter { !changes || $0.change != .same }
        if common.json { printJSON(shown, report) } else { printText(shown, report) }
        return report.damaged.isEmpty ? .fine : .difference
    }

    private func notFound(_ report: FindReport) -> CheckpointError {
        let what =
            digest.map { "tensor or object with the digest \($0)" }
            ?? "tensor or object named \(name ?? "")"
        let near = report.nearest.joined(separator: ", ")
        return CheckpointError(
            .notFound,
            "no \(what) in \(Output.count(report.checkpointCount, "checkpoint"))",
            remedy: near.isEmpty ? nil : "Nearest names: \(near)")
    }

    private func printText(_ shown: [FindReport.Occurrence], _ report: FindReport) {
        var table = Table([
            "STEP", .init("ID", rank: 2), .init("RUN", shortest: 8), .init("NAME", shortest: 12),
            .init("SIZE", rank: 1), "CHANGE",
        ])
        for one in shown {
            table.add([
                String(one.checkpoint.step), Output.short(one.checkpoint.id),
                one.checkpoint.runText, one.name,
                Output.size(one.bytes), one.change.rawValue,
            ])
        }
        table.print()
        let holders = Set(report.occurrences.map(\.checkpoint.id)).count
        var text = "found in \(holders) of \(Output.count(report.checkpointCount, "checkpoint"))"
        if let last = report.occurrences.first(where: { $0.change != .same }) {
            text += "; last changed in step \(last.checkpoint.step)"
        }
        Output.line(text)
    }

    private func printJSON(_ shown: [FindReport.Occurrence], _ report: FindReport) {
        Output.json(
            .object([
                .init("checkpoints", .count(report.checkpointCount)),
                .init(
                    "occurrences",
                    .array(
                        shown.map { one in
                            JSONValue.label(
                                one.checkpoint.id, one.checkpoint.run, one.checkpoint.step
                            ).adding([
                                .init("run_name", .string(one.checkpoint.runName)),
                                .init("name", .string(one.name)),
                                .init("kind", .string(one.kind.rawValue)),
                                .init("bytes", .count(one.bytes)),
                                .init("change", .string(one.change.rawValue)),
                            ])
                        })), .init("damaged", .array(report.damaged.map { .error($0) })),
            ]))
    }
}

extension Hash128: ExpressibleByArgument {
    /// 32 hexadecimal digits on the command line.
    public init?(argument: String) { self.init(argument) }
}
