import ArgumentParser
internal import CheckpointInterchange
internal import CheckpointMaintenance
import Checkpointing

struct Verify: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Checks every block against its hash, and lists damage.",
        usage: "ckpt verify STORE [REF] [options]",
        discussion: """
            Example: ckpt verify runs/first latest
            Example: ckpt verify runs/first --all --sample 10%
            Example: ckpt verify runs/first --replicas

            Checks the full store if no REF is given, and lists files that belong to no \
            checkpoint. Damage is listed with the tensors \
            that it affects. Exit code 1 means damage, or a file that could not be read. \
            --replicas instead compares the copies of replicated elements on several ranks, also \
            in saves that were not committed. \
            --sample prints how much was read, and the seed that selects the same blocks again.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(help: ArgumentHelp("One checkpoint (default: the full store).", valueName: "ref"))
    var reference: CheckpointReference?

    @Flag(help: "Checks the full store.")
    var all = false

    @Flag(help: "Compares the copies of replicated elements on several ranks.")
    var replicas = false

    @Flag(help: "Checks manifests and segment structure only, no tensor data.")
    var quick = false

    @Option(
        help: ArgumentHelp(
            "Reads only this share of the blocks, chosen at random.", valueName: "percent"))
    var sample: Percentage?

    @Option(help: "Seed of the sample (default: random).")
    var seed: UInt64?

    func validate() throws {
        if all, reference != nil { throw ValidationError("REF and --all cannot be combined") }
        if quick, sample != nil { throw ValidationError("--quick and --sample cannot be combined") }
        if replicas, quick || sample != nil {
            throw ValidationError("--replicas reads no blocks: leave out --quick and --sample")
        }
        if seed != nil, sample == nil { throw ValidationError("--seed needs --sample") }
    }

    func execute() throws -> ExitCode {
        let store = try common.open()
        if replicas {
            let reports = try store.compareReplicas(reference)
            let output = ReplicaOutput(store: common.store, reports: reports)
            if common.json { output.printJSON() } else { output.printText() }
            return reports.allSatisfy(\.isWhole) ? .fine : .difference
        }
        let progress = ProgressLine("verifying")
        let sample = sample.map {
            VerificationSample(fraction: $0.fraction, seed: seed ?? .random(in: 0..<1 << 32))
        }
        let report = try store.verify(reference, quick: quick, sample: sample) {
            progress.show($0, of: $1)
        }
        ProgressLine.clear()
        if common.json { printJSON(report, sample) } else { printText(report, sample) }
        return report.isWhole ? .fine : .difference
    }

    /// True if everything requested is intact; nil if no damage was found, but some of it was not read.
    private func verdict(_ report: VerificationReport) -> Bool? {
        if !report.isWhole { return false }
        return quick || sample != nil && report.checkedFraction < 1 ? nil : true
    }

    private func printText(_ report: VerificationReport, _ sample: VerificationSample?) {
        let damage = report.findings.filter { $0.kind == .damage }
        for finding in report.findings where finding.kind != .damage { Output.line(text(finding)) }
        if !damage.isEmpty { printTable(damage) }
        var depth = quick ? "no tensor data read" : "\(Output.size(report.checkedBytes)) verified"
        if let sample {
            depth +=
                ", \(Output.figure(report.checkedFraction * 100)) % of \(Output.size(report.blockBytes)) (seed \(sample.seed))"
        }
        let verdict =
            verdict(report).map { $0 ? "OK" : "DAMAGED" }
            ?? "OK (\(quick ? "structure only" : "sample only"))"
        let affected = Set(damage.flatMap { $0.checkpoints.map(\.id) }).count
        let share = (1...max(report.checkpointCount, 1)).contains(affected) ? "\(affected) of " : ""
        let checkpoints = share + Output.count(report.checkpointCount, "checkpoint")
        Output.line(
            "\(verdict): \(checkpoints), \(Output.count(report.segmentCount, "segment")), \(depth)")
        if !damage.isEmpty {
            Output.line("ckpt repair \(common.store) --dry-run shows what can be salvaged")
        }
    }

    private func printTable(_ damage: [VerificationReport.Finding]) {
        var table = Table([
            .init("STEP", shortest: 6), .init("LOST", shortest: 14), .init("FILE", shortest: 24),
            .init("OFFSET", rank: 1),
            .init("DAMAGE", rank: 2, shortest: 12),
        ])
        for finding in damage {
            let steps = finding.checkpoints.map { "\($0.step) (\(Output.short($0.id)))" }
            let file =
                finding.path.hasPrefix(common.store + "/")
                ? String(finding.path.dropFirst(common.store.count + 1)) : finding.path
            let what =
                finding.message.hasPrefix(finding.path + ": ")
                ? String(finding.message.dropFirst(finding.path.count + 2)) : finding.message
            table.add([
                steps.isEmpty ? "-" : some(steps),
                lost(finding).isEmpty ? "-" : some(lost(finding)), file,
                finding.offset.map(String.init) ?? "-", what,
            ])
        }
        table.print()
    }

    private func lost(_ finding: VerificationReport.Finding) -> [String] {
        finding.tensors.map { "tensor \($0)" } + finding.objects.map { "object \($0)" }
    }

    private func text(_ finding: VerificationReport.Finding) -> String {
        let place = finding.message.hasPrefix(finding.path) ? "" : "\(finding.path): "
        let steps = finding.checkpoints.map { "step \($0.step) (\(Output.short($0.id)))" }
        var text = "\(finding.kind.rawValue): \(place)\(finding.message)"
        if !steps.isEmpty { text += "; affects \(some(steps))" }
        let lost = lost(finding)
        if !lost.isEmpty { text += "; lost: \(some(lost))" }
        return text
    }

    private func some(_ names: [String]) -> String {
        names.prefix(8).joined(separator: ", ")
            + (names.count > 8 ? " and \(names.count - 8) more" : "")
    }

    private func printJSON(_ report: VerificationReport, _ sample: VerificationSample?) {
        Output.json(
            .object([
                .init("whole", verdict(report).map { .bool($0) } ?? .null),
                .init("quick", .bool(quick)),
                .init("sample", sample.map(json) ?? .null),
                .init("fraction", .metric(report.checkedFraction)),
                .init("checkpoints", .count(report.checkpointCount)),
                .init("segments", .count(report.segmentCount)),
                .init("bytes", .count(report.checkedBytes)),
                .init("findings", .array(report.findings.map(json))),
            ]))
    }

    private func json(_ sample: VerificationSample) -> JSONValue {
        // As text: not every reader of JSON keeps 64 bits.
        .object([
            .init("asked", .metric(sample.fraction)), .init("seed", .string(String(sample.seed))),
        ])
    }

    private func json(_ finding: VerificationReport.Finding) -> JSONValue {
        .object([
            .init("kind", .string(finding.kind.rawValue)), .init("path", .string(finding.path)),
            .init("offset", finding.offset.map { .count($0) } ?? .null),
            .init("message", .string(finding.message)),
            .init(
                "checkpoints", .array(finding.checkpoints.map { .label($0.id, $0.run, $0.step) })),
            .init("tensors", .strings(finding.tensors)),
            .init("objects", .strings(finding.objects)),
        ])
    }
}

/// `10%` on the command line: above 0, at most 100.
struct Percentage: ExpressibleByArgument {
    let fraction: Double

    init?(argument: String) {
        guard argument.hasSuffix("%"), let percent = Double(argument.dropLast()), percent > 0,
            percent <= 100
        else { return nil }
        fraction = percent / 100
    }
}
