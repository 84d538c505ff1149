import ArgumentParser
import CheckpointInterchange
import CheckpointStorage

struct Export: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Exports a checkpoint as safetensors.",
        usage: "ckpt export STORE [REF] -o OUT [options]",
        discussion: """
            Example: ckpt export runs/first 1000 -o weights.safetensors --tensor 'model.*' --rename model.=
            Example: ckpt export runs/first latest -o - | ssh host 'cat > weights.safetensors'

            If OUT ends in .safetensors it is one file; otherwise it is a directory of shards with an index, as transformers reads it. \
            OUT appears when it is complete and durable, or not at all. Every byte is checked against its hash. latest skips \
            damaged checkpoints. -o - writes one file to standard output; if damage is found after the start, the \
            output is incomplete, and the exit code is not 0.
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case safetensors }

    @OptionGroup var common: CommonArguments

    @Argument(
        help: ArgumentHelp("The checkpoint (default: latest); see ckpt --help.", valueName: "ref"))
    var reference = CheckpointReference.latest

    @Option(help: "Format: safetensors.")
    var format = Format.safetensors

    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "A .safetensors file, a directory of shards, or - for standard output.",
            valueName: "out"))
    var output: String

    @Option(
        help: ArgumentHelp("Maximum size of a shard, such as 5GB or 500MiB.", valueName: "size"))
    var maxShardSize = ByteSize(5_000_000_000, "5GB")

    @Option(
        help: ArgumentHelp(
            "Exports only tensors that match (* and ?); repeatable.", valueName: "glob"))
    var tensor: [String] = []

    @Option(
        help: ArgumentHelp("Replaces a prefix of tensor names; repeatable.", valueName: "from=to"))
    var rename: [Assignment] = []

    @Option(
        help: ArgumentHelp(
            "JSON file of full names, {\"from\": \"to\"}; applied first.", valueName: "file"))
    var names: String?

    @Flag(help: "Also writes objects.json, or OUT.objects.json.")
    var objects = false

    @Flag(help: "Replaces OUT if it exists.")
    var force = false

    func validate() throws {
        if isStream {
            if objects { throw ValidationError("--objects cannot be combined with -o -: name a file.") }
            if force { throw ValidationError("--force cannot be combined with -o -.") }
            if common.json { throw ValidationError("--json cannot be combined with -o -.") }
        }
        try OutputName.checkIsHere(output)
        try OutputName.check(output, "export", "Use a .safetensors file, or a directory of shards.")
    }

    private var isStream: Bool { output == "-" }

    func execute() throws -> ExitCode {
        let store = try common.open()
        var options = ExportOptions()
        options.tensors = tensor.map { NamePattern($0) }
        options.shardBytes = maxShardSize.bytes
        options.renaming = try renaming()
        options.includesObjects = objects
        options.replacesExisting = force
        if isStream { return try stream(store, options) }
        let report = try store.export(reference, to: output, options, "exporting")
        if common.json {
            Output.json(report.json)
        } else {
            Output.line(report.text("exported", output))
        }
        return .fine
    }

    private func stream(_ store: CheckpointStore, _ options: ExportOptions) throws -> ExitCode {
        guard !Terminal.showsOutput else {
            throw CheckpointError(
                .misuse, "tensors are not text, and are not written to a terminal",
                remedy: "Redirect them to a file: ckpt export ... -o - > FILE")
        }
        let checkpoint = try store.checkpoint(reference)
        for error in checkpoint.skipped { Output.warn("skipped a damaged checkpoint: \(error)") }
        var options = options
        let progress = ProgressLine("exporting")
        options.onProgress = { progress.show($0, of: $1) }
        defer { ProgressLine.clear() }
        try checkpoint.writeSafetensors(options) { bytes throws(CheckpointError) in
            try Output.write(bytes)
        }
        return .fine
    }

    private func renaming() throws -> Renaming {
        let prefixes = rename.map { Renaming.Prefix($0.key, $0.value) }
        return try names.map { try Renaming(prefixes: prefixes, file: $0) }
            ?? Renaming(prefixes: prefixes)
    }
}

extension CheckpointStore {
    /// Exports with a progress line, and can be interrupted.
    func export(
        _ reference: CheckpointReference, to path: String, _ options: ExportOptions, _ verb: String
    ) throws -> ExportReport {
        var options = options
        let progress = ProgressLine(verb)
        options.onProgress = { progress.show($0, of: $1) }
        defer { ProgressLine.clear() }
        return try Interruption.cancelling { cancellation in
            options.cancellation = cancellation
            return try export(reference, to: path, options: options) {
                Output.warn("skipped a damaged checkpoint: \($0)")
            }
        }
    }
}
