import ArgumentParser
import CheckpointInterchange
import CheckpointStorage

struct Restore: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Writes the tensors of a checkpoint to plain files.",
        usage: "ckpt restore STORE [REF] -o OUT [options]",
        discussion: """
            Example: ckpt restore runs/first 1000 -o weights --tensor 'model.*'
            Example: ckpt restore runs/first latest -o arrays --format npy

            Writes one file for each tensor: 00000.bin with little-endian, row-major elements, or 00000.npy. index.json lists \
            names, types, shapes and files, and holds the objects. It is written last: a directory without it is incomplete. \
            With --format safetensors, or an OUT that ends in .safetensors, writes one file or a directory of shards. Every byte \
            is checked against its hash. latest skips damaged checkpoints.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(
        help: ArgumentHelp("The checkpoint (default: latest); see ckpt --help.", valueName: "ref"))
    var reference = CheckpointReference.latest

    @Option(
        name: [.short, .long],
        help: ArgumentHelp("New or empty directory, or a new .safetensors file.", valueName: "out"))
    var output: String

    @Option(help: "Format of the files: raw, npy or safetensors (default: raw).")
    var format: Format?

    enum Format: String, ExpressibleByArgument, CaseIterable { case raw, npy, safetensors }

    @Flag(help: "Writes equal tensors, such as tied weights, to one file.")
    var aliases = false

    @Option(
        help: ArgumentHelp(
            "Restores only tensors that match (* and ?); repeatable.", valueName: "glob"))
    var tensor: [String] = []

    func validate() throws {
        try OutputName.checkIsHere(output)
        if format == nil {
            try OutputName.check(
                output, "restore",
                "Use a .safetensors file, or a directory with --format raw or npy.")
        }
    }

    func execute() throws -> ExitCode {
        let store = try common.open()
        let patterns = tensor.map { NamePattern($0) }
        switch format ?? (output.hasSuffix(".safetensors") ? .safetensors : .raw) {
        case .raw: try restoreFiles(store, patterns, as: .raw)
        case .npy: try restoreFiles(store, patterns, as: .npy)
        case .safetensors: try restoreSafetensors(store, patterns)
        }
        return .fine
    }

    private func restoreFiles(
        _ store: CheckpointStore, _ patterns: [NamePattern], as format: RawFormat
    ) throws {
        let progress = ProgressLine("restoring")
        let report = try Interruption.cancelling { cancellation in
            try store.exportRaw(
                reference, to: output, as: format, tensors: patterns, sharesFiles: aliases,
                onSkip: { Output.warn("skipped a damaged checkpoint: \($0)") }, cancellation: cancellation,
                onProgress: { progress.show($0, of: $1) })
        }
        ProgressLine.clear()
        if common.json { Output.json(report.index) } else { printText(report) }
    }

    private func restoreSafetensors(_ store: CheckpointStore, _ patterns: [NamePattern]) throws {
        var options = ExportOptions()
        options.tensors = patterns
        let report = try store.export(reference, to: output, options, "restoring")
        if common.json {
            Output.json(report.json)
        } else {
            Output.line(report.text("restored", output))
        }
    }

    private func printText(_ report: RawExportReport) {
        let summary = report.checkpoint.summary
        Output.line(
            "restored \(Output.count(report.tensorCount, "tensor")) (\(Output.size(report.tensorBytes))) and "
                + "\(Output.count(summary.objectCount, "object")) of step \(summary.step) "
                + "(\(Output.short(summary.id))) to \(output)")
    }
}
