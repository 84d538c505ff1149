internal import CheckpointInterchange
internal import CheckpointMaintenance
import ArgumentParser
import Checkpointing

struct Log: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Shows the runs of a store, and what each was resumed from.",
        usage: "ckpt log STORE [--graph] [options]",
        discussion: """
            Example: ckpt log runs/first --graph

            Lists one checkpoint per line, newest first. --graph draws a line from each checkpoint to the previous one of \
            its run, or to the one that the run was resumed from.
            """)

    @OptionGroup var common: CommonArguments

    @Flag(help: "Draws how checkpoints descend from each other.")
    var graph = false

    func execute() throws -> ExitCode {
        let (checkpoints, damaged) = try common.open().checkpoints().separated
        let lineage = Lineage(checkpoints)
        if common.json { printJSON(checkpoints, damaged, lineage) } else { printText(checkpoints, damaged, lineage) }
        return damaged.isEmpty ? .fine : .difference
    }

    private func printText(_ checkpoints: [CheckpointSummary], _ damaged: [CheckpointError], _ lineage: Lineage) {
        for line in lineage.lines {
            guard let index = line.checkpoint else {
                if graph { Output.line(line.graph) }
                continue
            }
            let head = (graph ? line.graph + "  " : "") + text(checkpoints, index, lineage)
            Output.line(fitted(head, checkpoints[index]))
        }
        for error in damaged { Output.line("\(error.code.rawValue): \(error)") }
        if checkpoints.isEmpty, damaged.isEmpty { Output.line("no checkpoints") }
    }

    /// Adds the time and the metrics to the text of a checkpoint. In a narrow terminal first the
    /// metrics are shortened, and then the text.
    private func fitted(_ head: String, _ checkpoint: CheckpointSummary) -> String {
        let time = "  \(Output.time(checkpoint.created))"
        let metrics = checkpoint.metrics.isEmpty ? "" : checkpoint.metricsText
        let gap = metrics.isEmpty ? "" : "  "
        guard let width = Terminal.width else { return head + time + gap + metrics }
        let left = width - DisplayWidth.of(time)
        let start = DisplayWidth.shortened(head, to: left) + time
        let room = width - DisplayWidth.of(start + gap)
        // Less than this says nothing.
        return room < 8 ? start : start + gap + DisplayWidth.words(metrics, to: room)
    }

    private func text(_ checkpoints: [CheckpointSummary], _ index: Int, _ lineage: Lineage) -> String {
        let checkpoint = checkpoints[index]
        let before = lineage.predecessors[index].map { checkpoints[$0] }
        var text = "\(Output.short(checkpoint.id)) step \(checkpoint.step)"
        if !checkpoint.tags.isEmpty { text += " (\(checkpoint.tags.joined(separator: ", ")))" }
        if before?.run != checkpoint.run {
            text += "  run \(checkpoint.runText)"
            if let before {
                text += ", from step \(before.step) (\(Output.short(before.id)))"
            } else if let parent = checkpoint.parent {
                text += ", from \(Output.short(parent)), which is not in this store"
            }
        }
        return text
    }

    private func printJSON(_ checkpoints: [CheckpointSummary], _ damaged: [CheckpointError], _ lineage: Lineage) {
        let rows = checkpoints.indices.map { index in
            checkpoints[index].json.adding([
                .init("predecessor", lineage.predecessors[index].map { .hex(checkpoints[$0].id) } ?? .null)
            ])
        }
        Output.json(.object([.init("checkpoints", .array(rows)), .init("damaged", .array(damaged.map { .error($0) }))]))
    }
}
