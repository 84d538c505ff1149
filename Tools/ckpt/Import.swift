import ArgumentParser
import CheckpointExchange
import CheckpointFormat
import Checkpointing
import CheckpointIO
import CheckpointState
import Foundation
internal import Logging
import SystemPackage

struct Import: Verb {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Makes a checkpoint of files that other programs have written.",
        discussion: """
            Example: ckpt import runs/first model.safetensors --step 0 --run pretrained --compression zstd

            FILE is safetensors (a file, a directory, or an index of shards), .npy, .npz, a PyTorch .pt, .pth or .bin, a directory of \
            torch.distributed.checkpoint, or raw elements. Pickles are read as data: what calls anything is refused. The store is \
            made if it is missing; the checkpoint is a run of its own.
            """)

    @Argument(help: "The store's directory.")
    var store: String

    @Argument(help: ArgumentHelp("Files or directories; their tensors make one checkpoint.", valueName: "file"))
    var files: [String]

    @Flag(help: "Prints one JSON object (Formats/cli-json.md).")
    var json = false

    @Option(help: "The checkpoint's step.")
    var step: Int

    @Option(help: ArgumentHelp("A name for the run.", valueName: "name"))
    var run = ""

    @Option(help: ArgumentHelp("A metric of the checkpoint; may be repeated.", valueName: "name=value"))
    var metric: [Assignment] = []

    @Option(help: "\(Compression.forms).")
    var compression = Compression.none

    @Option(
        help: ArgumentHelp("parameter, optimizer, buffer or other, for tensors of this name; the first that fits.", valueName: "glob=role"))
    var role: [Assignment] = []

    @Option(help: "auto, safetensors, npy, npz, pt, dcp or raw.")
    var format = "auto"

    @Option(help: ArgumentHelp("Element type of a raw file, such as f32.", valueName: "type"))
    var dtype: String?

    @Option(help: ArgumentHelp("Shape of a raw file: 3,4; empty for a scalar.", valueName: "extents"))
    var shape: String?

    @Option(help: ArgumentHelp("Name of a raw file's tensor.", valueName: "name"))
    var name: String?

    func validate() throws {
        try CommonArguments.check(store)
        if step < 0 { throw ValidationError("--step must be at least 0.") }
        if format != "auto", ForeignFormat(rawValue: format) == nil { throw ValidationError("--format \(format) is not known.") }
        _ = try metrics()
        _ = try roles()
        _ = try raw()
    }

    func execute() throws -> ExitCode {
        let checkpoint = try exchanging { try read() }
        let roles = try roles()
        let state = ForeignState(checkpoint) { name in roles.first { $0.pattern.matches(name) }?.role }
        let store = try CheckpointStore.open(store, for: .writing) { Output.warn($0) }
        let report = try exchanging { try save(state, to: store) }
        ProgressLine.clear()
        let manifest = try store.load(.id(prefix: report.id.description)).loaded.manifest
        if json { printJSON(manifest, checkpoint, report) } else { printText(manifest, checkpoint, report) }
        return .fine
    }

    /// Everything but the tensors' bytes.
    private func read() throws -> ForeignCheckpoint {
        let reader = ForeignReader(POSIXFileSystem(usesDirectIO: false), spillDirectory: spillDirectory)
        let raw = try raw()
        let parts = try files.map { file in
            if let raw { return try reader.readRaw(FilePath(file), raw) }
            return try reader.read(FilePath(file), as: ForeignFormat(rawValue: format))
        }
        return try ForeignCheckpoint(joining: parts, of: files)
    }

    /// The directory that the store is in, which has to have room for it anyway.
    private var spillDirectory: FilePath {
        let parent = FilePath(store).removingLastComponent()
        return parent.isEmpty ? "." : parent
    }

    private func save(_ state: ForeignState, to store: CheckpointStore) throws -> SaveReport {
        var options = CheckpointerOptions()
        options.runName = run
        options.compression = compression
        options.workerNiceness = 0
        options.arenaBytes = 64 << 20
        options.logger.logLevel = .critical
        let progress = ProgressLine("importing")
        options.onEvent = { event in
            if case .progress(_, let written, let total) = event { progress.show(written, of: total) }
        }
        let checkpointer = try Checkpointer(store: store, state: state, options: options)
        let ticket = try checkpointer.save(step: step, metrics: metrics())
        try ticket.wait()
        try checkpointer.close()
        guard let report = ticket.report else { preconditionFailure("a committed save has no report") }
        return report
    }

    private func printText(_ manifest: Manifest, _ checkpoint: ForeignCheckpoint, _ report: SaveReport) {
        Output.line(
            "imported \(Output.count(manifest.tensors.count, "tensor")) (\(Output.size(checkpoint.bytes))) and "
                + "\(Output.count(manifest.objects.count, "object")) from \(checkpoint.format.rawValue) as step \(manifest.step) "
                + "(\(Output.short(manifest.id))), \(Output.size(report.newBytes)) written")
    }

    private func printJSON(_ manifest: Manifest, _ checkpoint: ForeignCheckpoint, _ report: SaveReport) {
        Output.json(
            manifest.description.adding([
                .init("new_bytes", .count(report.newBytes)), .init("format", .string(checkpoint.format.rawValue)),
                .init("tensors", .array(manifest.tensors.map { record in
                    .object([
                        .init("name", .string(record.name)), .init("type", .string(record.type.rawValue)),
                        .init("shape", .counts(record.shape)), .init("role", .string(record.role.rawValue)),
                        .init("bytes", .count(record.bytes)),
                    ])
                })),
                .init("objects", .strings(manifest.objects.map(\.name))),
            ]))
    }

    // MARK: Options

    private func metrics() throws -> [String: Double] {
        var metrics: [String: Double] = [:]
        for metric in metric {
            guard let value = Double(metric.value) else { throw ValidationError("--metric \(metric.key) is no number.") }
            metrics[metric.key] = value
        }
        return metrics
    }

    private func roles() throws -> [(pattern: NamePattern, role: TensorRole)] {
        try role.map { assignment in
            guard let role = TensorRole(rawValue: assignment.value) else {
                throw ValidationError("--role \(assignment.value) is not known.")
            }
            return (NamePattern(assignment.key), role)
        }
    }

    private func raw() throws -> ForeignReader.Raw? {
        guard format == "raw" else {
            if dtype != nil || shape != nil || name != nil { throw ValidationError("--dtype, --shape and --name go with --format raw.") }
            return nil
        }
        guard let dtype, let shape, let name, files.count == 1 else {
            throw ValidationError("--format raw needs --dtype, --shape and --name, and one file.")
        }
        guard let type = ElementType(rawValue: dtype) else { throw ValidationError("--dtype \(dtype) is not known.") }
        let extents = shape.split(separator: ",").map { Int($0) }
        guard extents.allSatisfy({ $0 ?? -1 >= 0 }) else { throw ValidationError("--shape \(shape) is no shape.") }
        return ForeignReader.Raw(name: name, type: type, shape: extents.compactMap { $0 })
    }
}

/// Foreign files as the state of a training run.
private struct ForeignState: StateProvider {
    private let checkpoint: ForeignCheckpoint
    private let role: @Sendable (String) -> TensorRole?

    init(_ checkpoint: ForeignCheckpoint, role: @escaping @Sendable (String) -> TensorRole?) {
        self.checkpoint = checkpoint
        self.role = role
    }

    func describe(to inventory: inout StateInventory) {
        for tensor in checkpoint.tensors {
            inventory.add(tensor: tensor.name, tensor.view, role: role(tensor.name) ?? Self.usualRole(tensor.name))
        }
        for object in checkpoint.objects {
            let text = object.value.text
            inventory.add(object: object.name, role: .other, encoding: .json, freeze: { { text } }, restore: { _ in })
        }
    }

    /// Optimizers of PyTorch are saved under these names.
    private static func usualRole(_ name: String) -> TensorRole {
        ["optimizer.", "optim.", "optimizer_state_dict."].contains(where: name.hasPrefix) ? .optimizer : .parameter
    }
}
