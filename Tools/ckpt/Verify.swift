import ArgumentParser
import CheckpointFormat
import Checkpointing

struct Verify: Verb {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Reads everything and says what is damaged, and what that costs.",
        discussion: """
            Example: ckpt verify runs/first

            Without REF the whole store is verified. Exit code 1 means damage, or a file that could not be judged.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(help: ArgumentHelp("One checkpoint: latest, a step, or the first digits of an id.", valueName: "ref"))
    var reference: CheckpointReference?

    @Flag(help: "Checks manifests and the structure of segments, and leaves the blocks unread.")
    var quick = false

    func execute() throws -> ExitCode {
        let store = try common.open()
        let progress = ProgressLine("verifying")
        let report = try store.verify(reference, quick: quick) { progress.show($0, of: $1) }
        ProgressLine.clear()
        if common.json { printJSON(report) } else { printText(report) }
        return report.isWhole ? .fine : .difference
    }

    private func printText(_ report: VerificationReport) {
        for finding in report.findings { Output.line(text(finding)) }
        let depth = quick ? "structure only" : "\(Output.size(report.checkedBytes)) of blocks read"
        let verdict = report.isWhole ? "whole" : "NOT WHOLE"
        let checkpoints = Output.count(report.checkpointCount, "checkpoint")
        Output.line("\(verdict): \(checkpoints), \(Output.count(report.segmentCount, "segment")), \(depth)")
    }

    private func text(_ finding: VerificationReport.Finding) -> String {
        let place = finding.message.hasPrefix(finding.path) ? "" : "\(finding.path): "
        let steps = finding.checkpoints.map { "step \($0.step) (\(Output.short($0.id)))" }
        var text = "\(finding.kind.rawValue): \(place)\(finding.message)"
        if !steps.isEmpty { text += "; named by \(some(steps))" }
        let lost = finding.tensors.map { "tensor \($0)" } + finding.objects.map { "object \($0)" }
        if !lost.isEmpty { text += "; lost: \(some(lost))" }
        return text
    }

    private func some(_ names: [String]) -> String {
        names.prefix(8).joined(separator: ", ") + (names.count > 8 ? " and \(names.count - 8) more" : "")
    }

    private func printJSON(_ report: VerificationReport) {
        Output.json(
            .object([
                .init("whole", .bool(report.isWhole)), .init("quick", .bool(quick)),
                .init("checkpoints", .count(report.checkpointCount)), .init("segments", .count(report.segmentCount)),
                .init("bytes", .count(report.checkedBytes)), .init("findings", .array(report.findings.map(json))),
            ]))
    }

    private func json(_ finding: VerificationReport.Finding) -> JSONValue {
        .object([
            .init("kind", .string(finding.kind.rawValue)), .init("path", .string(finding.path)),
            .init("offset", finding.offset.map { .count($0) } ?? .null), .init("message", .string(finding.message)),
            .init("checkpoints", .array(finding.checkpoints.map { .label($0.id, $0.run, $0.step) })),
            .init("tensors", .strings(finding.tensors)), .init("objects", .strings(finding.objects)),
        ])
    }
}
