import ArgumentParser
import CheckpointInterchange
import CheckpointStorage

struct Import: Verb {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Imports files of other programs as a checkpoint.",
        usage: "ckpt import STORE FILE... [options]",
        discussion: """
            Example: ckpt import runs/first model.safetensors --step 0 --run pretrained --compression zstd

            FILE is safetensors (a file, a directory, or an index of shards), .npy, .npz, a PyTorch .pt, .pth or .bin, a \
            directory of torch.distributed.checkpoint, or raw elements. Pickles are read as data: ckpt never runs code \
            in them. A pickle that calls a function is refused; with \
            --skip-objects, the entries that call functions are left out. The \
            checkpoint starts a new run.
            """)

    @Argument(help: "Directory or s3://BUCKET/PREFIX of the store; created if missing.")
    var store: String

    @Argument(
        help: ArgumentHelp(
            "Files or directories; all tensors go to one checkpoint.", valueName: "file"))
    var files: [String]

    @Flag(help: "Prints one JSON object (Formats/cli-json.md).")
    var json = false

    @Option(
        parsing: .unconditional,
        help: "Step of the checkpoint (default: the step in the files, or 0).",
        transform: WholeNumber.from(0))
    var step: Int?

    @Option(
        help: ArgumentHelp(
            "Name of the run (default: the name of the first file).", valueName: "name"))
    var run: String?

    @Option(help: ArgumentHelp("A metric of the checkpoint; repeatable.", valueName: "name=value"))
    var metric: [Assignment] = []

    @Option(help: "Compression: \(Compression.forms).")
    var compression = Compression.auto

    @Option(
        help: ArgumentHelp(
            "Role of matching tensors: parameter, optimizer, buffer, other.", valueName: "glob=role"
        ))
    var role: [Assignment] = []

    @Option(help: "Format: auto, safetensors, npy, npz, pt, dcp or raw.")
    var format = "auto"

    @Flag(help: "Skips entries that are not data, and lists them.")
    var skipObjects = false

    @Option(
        help: ArgumentHelp(
            "Element type of NumPy arrays of ml_dtypes, such as f8e4m3.", valueName: "type"))
    var numpyType: String?

    @Option(help: ArgumentHelp("Element type of a raw file, such as f32.", valueName: "type"))
    var dtype: String?

    @Option(
        help: ArgumentHelp(
            "Shape of a raw file, such as 3,4; empty for a scalar.", valueName: "extents"))
    var shape: String?

    @Option(help: ArgumentHelp("Name of a raw file's tensor.", valueName: "name"))
    var name: String?

    @OptionGroup var messages: MessageArguments

    func validate() throws {
        try CommonArguments.check(store)
        _ = try StoreAddress(store)
        if step ?? 0 < 0 { throw ValidationError("--step must be at least 0.") }
        _ = try metrics()
        _ = try roles()
        _ = try importFormat()
        _ = try elementType("--numpy-type", numpyType)
    }

    func execute() throws -> ExitCode {
        var options = ImportOptions()
        (options.step, options.metrics) = (step, try metrics())
        options.run = run.flatMap { $0.isEmpty ? nil : $0 }
        (options.compression, options.roles, options.format) = (
            compression, try roles(), try importFormat()
        )
        (options.skipsObjects, options.numpyElementType) = (
            skipObjects, try elementType("--numpy-type", numpyType)
        )
        let progress = ProgressLine("importing")
        options.onProgress = { progress.show($0, of: $1) }
        // Read first: files that cannot be read make no store.
        let foreign = try ForeignFiles(
            files, options: options, spillDirectory: CheckpointStore.spillDirectory(of: self.store))
        for note in foreign.notes { Output.warn(note) }
        let isNew = try !StoreAddress(store).exists()
        let report = try Interruption.cancelling { cancellation in
            options.cancellation = cancellation
            do {
                let store = try StoreAddress(self.store).open(for: .writing)
                return try store.importCheckpoint(from: foreign, options: options)
            } catch var error as CheckpointError where error.code == .cancelled && isNew {
                let note = "\(store) is a new store without checkpoints"
                error.remedy = error.remedy.map { "\($0). \(note)" } ?? note
                throw error
            }
        }
        ProgressLine.clear()
        if json { printJSON(report) } else { printText(report) }
        return .fine
    }

    private func printText(_ report: ImportReport) {
        let summary = report.checkpoint.summary
        Output.line(
            "imported \(Output.count(summary.tensorCount, "tensor")) (\(Output.size(report.tensorBytes))) and "
                + "\(Output.count(report.objectCount, "object")) from \(report.format) as step \(summary.step) "
                + "of run \(summary.runName) (\(Output.short(summary.id))), \(Output.size(report.newBytes)) written"
        )
        let roles = Dictionary(grouping: report.checkpoint.tensors, by: \.role)
        let counts = TensorRole.allCases.compactMap { role in
            roles[role].map { Output.count($0.count, "\(role.rawValue) tensor") }
        }
        if !counts.isEmpty {
            Output.line("roles: \(counts.joined(separator: ", ")) (change them with --role)")
        }
        if let earlier = report.earlier {
            Output.line(
                "the same files were imported before, as step \(earlier.step) of run \(earlier.runName) "
                    + "(\(Output.short(earlier.id)))")
        }
        for part in report.leftOut { Output.line("left out: \(part.name): \(part.what)") }
    }

    private func printJSON(_ report: ImportReport) {
        let checkpoint = report.checkpoint
        Output.json(
            checkpoint.manifest.description.adding([
                .init("new_bytes", .count(report.newBytes)),
                .init("format", .string(report.format)),
                .init(
                    "tensors",
                    .array(
                        checkpoint.tensors.map { tensor in
                            .object([
                                .init("name", .string(tensor.name)),
                                .init("type", .string(tensor.type.rawValue)),
                                .init("shape", .counts(tensor.shape)),
                                .init("role", .string(tensor.role.rawValue)),
                                .init("bytes", .count(tensor.byteCount)),
                            ])
                        })),
                .init("objects", .strings(checkpoint.objects.map(\.name))),
                .init(
                    "left_out",
                    .array(
                        report.leftOut.map { part in
                            .object([
                                .init("name", .string(part.name)),
                                .init("what", .string(part.what)),
                            ])
                        })),
                .init("notes", .strings(report.notes)),
                .init("source", report.source.json),
                .init("earlier", report.earlier.map { .hex($0.id) } ?? .null),
            ]))
    }

    // MARK: Options

    private func metrics() throws -> [String: Double] {
        var metrics: [String: Double] = [:]
        for metric in metric {
            guard let value = Double(metric.value) else {
                throw ValidationError(
                    "--metric \(metric.key)=\(metric.value): the value is not a number.")
            }
            metrics[metric.key] = value
        }
        return metrics
    }

    private func roles() throws -> [(pattern: NamePattern, role: TensorRole)] {
        try role.map { assignment in
            guard let role = TensorRole(rawValue: assignment.value) else {
                throw ValidationError(
                    "--role \(assignment.value) is unknown; use parameter, optimizer, buffer or other."
                )
            }
            return (NamePattern(assignment.key), role)
        }
    }

    private func importFormat() throws -> ImportOptions.Format {
        if format == "raw" { return try rawFormat() }
        if dtype != nil || shape != nil || name != nil {
            throw ValidationError("--dtype, --shape and --name need --format raw.")
        }
        let formats: [String: ImportOptions.Format] = [
            "auto": .auto, "safetensors": .safetensors, "npy": .npy, "npz": .npz, "pt": .pt,
            "dcp": .dcp,
        ]
        guard let known = formats[format] else {
            throw ValidationError(
                "--format \(format) is unknown; use auto, safetensors, npy, npz, pt, dcp or raw.")
        }
        return known
    }

    private func rawFormat() throws -> ImportOptions.Format {
        guard let type = try elementType("--dtype", dtype), let shape, let name, files.count == 1
        else {
            throw ValidationError("--format raw needs --dtype, --shape and --name, and one file.")
        }
        let extents = shape.split(separator: ",").map { Int($0) }
        guard extents.allSatisfy({ $0 ?? -1 >= 0 }) else {
            throw ValidationError("--shape \(shape) is not a shape; write, for example, 3,4.")
        }
        return .raw(name: name, type: type, shape: extents.compactMap { $0 })
    }

    private func elementType(_ option: String, _ name: String?) throws -> ElementType? {
        guard let name else { return nil }
        guard let type = ImportOptions.elementType(named: name) else {
            let types = ElementType.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("\(option) \(name) is unknown; use one of \(types).")
        }
        return type
    }
}
