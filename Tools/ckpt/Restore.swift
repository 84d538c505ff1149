import ArgumentParser
import CheckpointFormat
import CheckpointInterchange
import CheckpointStorage

struct Restore: Verb {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Writes the tensors of a checkpoint to plain files.",
        discussion: """
            Example: ckpt restore runs/first 1000 -o weights --tensor 'model.*'

            Each tensor becomes one raw little-endian, row-major file, 00000.bin and so on; index.json says which is \
            which, holds the objects, and is written last: a directory without it is not complete. With --format safetensors \
            the same tensors go to one file, or to a directory of shards. Every byte is checked on its way, and latest goes back \
            to the newest checkpoint that is whole.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(help: ArgumentHelp("The checkpoint: latest, a step, a tag, best:METRIC, or the first digits of an id.", valueName: "ref"))
    var reference = CheckpointReference.latest

    @Option(
        name: [.short, .long], help: ArgumentHelp("A new or empty directory; for safetensors a new file or directory.", valueName: "out"))
    var output: String

    @Option(help: "raw or safetensors.")
    var format = Format.raw

    enum Format: String, ExpressibleByArgument, CaseIterable { case raw, safetensors }

    @Flag(help: "Raw files: equal tensors, as tied weights are, share one file.")
    var aliases = false

    @Option(help: ArgumentHelp("Restores only tensors of this name; * and ? are wild; may be repeated.", valueName: "glob"))
    var tensor: [String] = []

    func execute() throws -> ExitCode {
        let store = try common.open()
        let patterns = tensor.map { NamePattern($0) }
        switch format {
        case .raw: try restoreRaw(store, patterns)
        case .safetensors: try restoreSafetensors(store, patterns)
        }
        return .fine
    }

    private func restoreRaw(_ store: CheckpointStore, _ patterns: [NamePattern]) throws {
        let progress = ProgressLine("restoring")
        let report = try store.exportRaw(
            reference, to: output, tensors: patterns, sharesFiles: aliases,
            onSkip: { Output.warn("passed over: \($0)") }, onProgress: { progress.show($0, of: $1) })
        ProgressLine.clear()
        if common.json { Output.json(report.index) } else { printText(report) }
    }

    private func restoreSafetensors(_ store: CheckpointStore, _ patterns: [NamePattern]) throws {
        var options = ExportOptions()
        options.tensors = patterns
        let report = try store.export(reference, to: output, options, "restoring")
        if common.json { Output.json(report.json) } else { Output.line(report.text("restored", output)) }
    }

    private func printText(_ report: RawExportReport) {
        let summary = report.checkpoint.summary
        Output.line(
            "restored \(Output.count(report.tensorCount, "tensor")) (\(Output.size(report.tensorBytes))) and "
                + "\(Output.count(summary.objectCount, "object")) of step \(summary.step) "
                + "(\(Output.short(summary.id))) to \(output)")
    }
}
